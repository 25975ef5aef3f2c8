"""A batch prediction on the cluster that is asked for: by hand, and as a step of a flow."""

from collections.abc import Callable
from functools import partial
from typing import Any

from storage.errors import SchemaError
from storage.objects import open_store
from storage.refs import ArtifactRef, PredictionsRef
from tasks.batch.planning import located_sources
from tasks.batch.predict import predict_files
from tasks.frames.identity import as_identity
from tasks.frames.sources import File
from tasks.progress import Event, reporter
from tasks.sections import BatchSection, ClusterSection


def predict_on_cluster(
    batch: BatchSection, identity: dict[str, Any], artifact: ArtifactRef, cluster: ClusterSection, storage: str
) -> PredictionsRef:
    """Predict every row of the sources. `identity`: their content digests. SchemaError where a file is another now."""
    report = reporter("predict")
    digest = predict_files(
        batch,
        _unchanged(batch, identity),
        artifact.digest,
        open_store(storage),
        partial(_open, cluster, report, storage),
        report,
        alone=cluster.address == "local",
    )
    _unchanged(batch, identity)
    return PredictionsRef(storage, digest)


def _open(cluster: ClusterSection, report: Callable[[Event], None], storage: str) -> Any:
    """A client of the cluster; Dask is loaded only here."""
    from infra.agreement import Work
    from infra.clusters import open_cluster

    return open_cluster(cluster, report, Work(code="tasks.batch.parts:predict_part", store=storage))


def _unchanged(batch: BatchSection, identity: dict[str, Any]) -> list[list[File]]:
    located = located_sources(batch)
    if as_identity(located) != identity:
        raise SchemaError("a source file was changed while it was read; its predictions are not kept, run again")
    return located
