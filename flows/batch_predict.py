"""batch-predict: whole files of rows, predicted by a released model into Parquet."""

# isort: off
import flows.at_home  # noqa: F401  before Prefect, which reads its settings once

# isort: on

from typing import Annotated

from prefect.client.schemas.objects import State
from prefect.states import Completed
from pydantic import Field

from flows.batch import predict_batch
from flows.display import shown
from flows.flow import flow
from flows.parameters import Alias, ModelName, Storage
from storage.surroundings import surrounded
from tasks.prediction import predict
from tasks.sections import BatchSection, ClusterSection, StorageSection

Version = Annotated[
    int | None, Field(ge=1, description="The version's number; empty: the one that the alias points at")
]
Batch = Annotated[BatchSection, Field(description="Which rows, and what is written of them")]
Cluster = Annotated[ClusterSection, Field(description="Where they are predicted in parallel")]


@flow(name="batch-predict")
def batch_predict(
    name: ModelName,
    batch: Batch,
    alias: Alias = "champion",
    version: Version = None,
    cluster: Cluster = ClusterSection(),  # noqa: B008  frozen
    storage: Storage = StorageSection(),  # noqa: B008  frozen
) -> State:
    """Predict every row of the sources, what was predicted before excepted; the summary says what was refused, and why."""
    with shown(), surrounded(storage.variables()):
        summary = predict_batch(name, version or alias, batch, cluster, storage.url, predict)
    said = f"{summary['rows_out']:,} of {summary['rows_in']:,} rows predicted by version {summary['version']}"
    return Completed(message=said, data=summary)
