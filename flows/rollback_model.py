"""rollback: a model's alias moves back to the version before."""

from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.aliases import move_back
from flows.flow import flow
from flows.parameters import Alias, ModelName, Storage
from storage.surroundings import surrounded
from tasks.sections import StorageSection


@flow(name="rollback-model")
def rollback_model(
    name: ModelName,
    alias: Alias = "champion",
    storage: Storage = StorageSection(),  # noqa: B008  frozen
) -> State:
    """Point the alias at the version before; the one that is left does not come back by itself."""
    with surrounded(storage.variables()):
        moved = move_back(name, alias, storage.url)
    return Completed(message=moved, data=moved)
