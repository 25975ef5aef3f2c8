"""A batch prediction on the cluster that is asked for: by hand, and as a step of a flow."""

import time
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
        with_rate(report),
        alone=cluster.address == "local",
    )
    _unchanged(batch, identity)
    return PredictionsRef(storage, digest)


def _open(cluster: ClusterSection, report: Callable[[Event], None], storage: str) -> Any:
    """A client of the cluster; Dask is loaded only here."""
    from infra.agreement import Work
    from infra.clusters import open_cluster

    return open_cluster(cluster, report, Work(code="tasks.batch.parts:predict_part", store=storage))


def with_rate(report: Callable[[Event], None]) -> Callable[[Event], None]:
    """`report`, told beside how many rows were done how many that were a second, since there was first something to do."""
    begun: list[tuple[float, int]] = []

    def told(event: Event) -> None:
        if "rows" in event:
            now, rows = time.perf_counter(), event["rows"]
            if begun and now > begun[0][0]:
                event = {**event, "rows_per_second": (rows - begun[0][1]) / (now - begun[0][0])}
            begun.append((now, rows))
        report(event)

    return told


def _unchanged(batch: BatchSection, identity: dict[str, Any]) -> list[list[File]]:
    located = located_sources(batch)
    if as_identity(located) != identity:
        raise SchemaError("a source file was changed while it was read; its predictions are not kept, run again")
    return located
