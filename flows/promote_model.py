"""promote: a model's alias moves to one of its versions, by hand."""

from typing import Annotated

from prefect.client.schemas.objects import State
from prefect.states import Completed
from pydantic import Field

from flows.aliases import move_forward
from flows.flow import flow
from flows.parameters import Alias, ModelName, Storage
from storage.surroundings import surrounded
from tasks.sections import StorageSection


@flow(name="promote-model")
def promote_model(
    name: ModelName,
    version: Annotated[int, Field(ge=1, description="The version's number; `millrace models NAME` lists them")],
    alias: Alias = "champion",
    storage: Storage = StorageSection(),  # noqa: B008  frozen
) -> State:
    """Point the alias at the version; what serves by this alias follows."""
    with surrounded(storage.variables()):
        moved = move_forward(name, version, alias, storage.url)
    return Completed(message=moved, data=moved)
