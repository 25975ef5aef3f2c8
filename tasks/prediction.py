"""Batch prediction as a cached, retried step: the rows of files, predicted by a released model."""

from typing import Any

from storage.refs import ArtifactRef, PredictionsRef
from tasks.batch.on_cluster import predict_on_cluster
from tasks.policies import step
from tasks.sections import BatchSection, ClusterSection


@step("predict")
def predict(
    batch: BatchSection, identity: dict[str, Any], artifact: ArtifactRef, cluster: ClusterSection, storage: str
) -> PredictionsRef:
    """Predict every row of the sources. `identity`: their content digests, which with `batch` and `artifact` decide the result."""
    return predict_on_cluster(batch, identity, artifact, cluster, storage)
