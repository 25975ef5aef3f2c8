"""What the steps stored, read back for the decisions, the summary and the report."""

import json
from typing import TYPE_CHECKING, Any

from storage.blobs import read_blob
from storage.manifests import fetch_files, read_manifest
from storage.objects import open_store
from storage.refs import ChoiceRef, FeaturesRef, LatencyRef, Ref, ScoresRef, VerdictRef
from tasks.scoring.decisions import Choice, Verdict

if TYPE_CHECKING:
    import numpy as np

SCORED_SPLITS = ("validation", "test")


def read_meta(ref: Ref) -> dict[str, Any]:
    """The meta of the manifest that `ref` names."""
    return dict(read_manifest(open_store(ref.uri), ref.digest).meta)


def read_scores(scores: ScoresRef) -> dict[str, Any]:
    """What `score` stored: per split the metrics, and the outputs as `{split}_outputs`."""
    import numpy as np

    store = open_store(scores.uri)
    manifest, found = read_manifest(store, scores.digest), read_metrics(scores)
    paths = fetch_files(store, manifest)
    return {**found, **{f"{split}_outputs": np.load(paths[f"{split}.npy"]) for split in SCORED_SPLITS}}


def read_metrics(scores: ScoresRef) -> dict[str, Any]:
    """Per split the metrics that `score` stored, without the outputs."""
    store = open_store(scores.uri)
    return json.loads(read_blob(store, read_manifest(store, scores.digest).files["scores.json"]))


def read_choice(choice: ChoiceRef) -> Choice:
    """What `choose` stored."""
    store = open_store(choice.uri)
    return Choice(**json.loads(read_blob(store, read_manifest(store, choice.digest).files["choice.json"])))


def read_verdict(verdict: VerdictRef) -> Verdict:
    """What `judge` stored."""
    store = open_store(verdict.uri)
    return Verdict.from_json(json.loads(read_blob(store, read_manifest(store, verdict.digest).files["verdict.json"])))


def read_latency(latency: LatencyRef) -> dict[str, Any]:
    """What `measure` stored."""
    store = open_store(latency.uri)
    return json.loads(read_blob(store, read_manifest(store, latency.digest).files["latency.json"]))


def read_targets(features: FeaturesRef, split: str) -> "np.ndarray":
    """The targets of a split, (N,); of texts (N, 2): bytes and words of each passage."""
    import numpy as np

    from tasks.arrays import fetch_arrays

    store = open_store(features.uri)
    language_model = read_meta(features)["task"] == "language_model"
    return np.load(fetch_arrays(store, features.digest, [split])[f"{split}/{'sizes' if language_model else 'y'}.npy"])


def target_scale(features: FeaturesRef) -> tuple[float, float] | None:
    """(mean, deviation) that undo the standardised target of a regression; None for classification."""
    scale = read_meta(features).get("target_scale")
    return (scale[0], scale[1]) if scale else None
