"""rollback: a model's alias moves back to the version before."""

from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.aliases import move_back
from flows.flow import flow
from flows.parameters import Alias, ModelName, StorageUrl


@flow(name="rollback-model")
def rollback_model(name: ModelName, alias: Alias = "champion", storage: StorageUrl = "") -> State:
    """Point the alias at the version before; the one that is left does not come back by itself."""
    moved = move_back(name, alias, storage)
    return Completed(message=moved, data=moved)
