"""Small frozen values that name something stored; steps take and return them, never data.

A ref's identity is its digest (the SHA-256 of its manifest). Its `uri` says which store to open and is no part of any key.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Ref:
    """`uri`: the store's URL; `digest`: the SHA-256 of the manifest in it, as 64 hexadecimal digits."""

    uri: str
    digest: str


class DatasetRef(Ref):
    """Cleaned rows in Parquet shards, their split overlay, quarantine, schema and profile."""


class TransformsRef(Ref):
    """Transforms fitted on the training rows."""


class FeaturesRef(Ref):
    """Model inputs and targets as arrays, a pair for each split."""


class ModelRef(Ref):
    """A trained model: weights, architecture, training history."""


class ArtifactRef(Ref):
    """What can be served: ONNX, canonical weights, transforms, recipe."""


class ScoresRef(Ref):
    """An artifact's outputs and metrics on a data set's validation and test rows."""


class LatencyRef(Ref):
    """An artifact's measured latencies on one processor model: a side record."""


class ChoiceRef(Ref):
    """Which candidate is judged, and why not the others."""


class VerdictRef(Ref):
    """The gate's decision about one candidate, beside one champion."""


class ReleaseRef(Ref):
    """A release manifest: artifact, golden requests, reference histograms, lineage."""


class PredictionsRef(Ref):
    """A model's predictions of the rows of some files, in Parquet shards, and the rows that it refused."""


REF_TYPES: dict[str, type[Ref]] = {
    kind.__name__: kind
    for kind in (
        DatasetRef,
        TransformsRef,
        FeaturesRef,
        ModelRef,
        ArtifactRef,
        ScoresRef,
        LatencyRef,
        ChoiceRef,
        VerdictRef,
        ReleaseRef,
        PredictionsRef,
    )
}


def ref_to_json(ref: Ref) -> dict[str, str]:
    """What a step record keeps of `ref`: its type and digest, not where it lies."""
    return {"type": type(ref).__name__, "digest": ref.digest}


def ref_from_json(data: dict[str, str], uri: str) -> Ref:
    """The ref that `ref_to_json` wrote, in the store at `uri`."""
    return REF_TYPES[data["type"]](uri, data["digest"])
