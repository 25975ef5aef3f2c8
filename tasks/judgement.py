"""Decided afresh each run: which candidate, whether it may be released, against which champion. Nothing here is cached."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from storage.manifests import read_manifest
from storage.objects import ObjectStore, open_store
from storage.records import is_whole
from storage.refs import ArtifactRef, DatasetRef, FeaturesRef, LatencyRef, ScoresRef, TransformsRef
from storage.registry import Version, open_registry
from tasks.recipes import UNCOMPRESSED
from tasks.results import read_latency, read_scores, read_targets, target_scale
from tasks.scoring.choice import Candidate, Choice
from tasks.scoring.choice import choose as choose_candidate
from tasks.scoring.gate import Verdict, decide
from tasks.sections import EvaluateSection


@dataclass(frozen=True)
class Champion:
    """The model that serves now, as far as this run needs it."""

    same: bool = False  # the candidate already serves
    rolled_back: bool = False  # the candidate once served and was rolled back
    version: int | None = None
    artifact: ArtifactRef | None = None
    transforms: TransformsRef | None = None
    scores: ScoresRef | None = None
    features: FeaturesRef | None = None
    not_comparable: str = ""

    @property
    def to_compare(self) -> bool:
        """Whether there is another model to be compared with."""
        return self.artifact is not None and not self.same and not self.not_comparable

    def scored(self, scores: ScoresRef) -> "Champion":
        """The champion with its scores on this run's test rows."""
        return replace(self, scores=scores)


@dataclass(frozen=True)
class Judgement:
    """What the stage evaluate hands on."""

    artifact: ArtifactRef
    scores: ScoresRef
    metric: str
    choice: Choice
    verdict: Verdict
    champion_version: int | None  # what the alias pointed at when this was decided
    everyone: dict[str, ArtifactRef]
    all_scores: dict[str, ScoresRef]
    latency: LatencyRef


def find_champion(storage: str, name: str, alias: str, candidate: ArtifactRef, dataset: DatasetRef) -> Champion:
    """The alias's version, and what the log knows of the candidate."""
    registry, store = open_registry(storage), open_store(storage)
    rolled_back = candidate.digest in registry.rolled_back(name)
    serving = registry.alias(name, alias)
    if serving is None:
        return Champion(rolled_back=rolled_back)
    if serving.artifact == candidate.digest:
        return Champion(same=True, version=serving.number)
    not_comparable = _difference(store, serving, candidate, dataset)
    transforms = "" if not_comparable else read_manifest(store, serving.artifact).meta["transforms"]
    return Champion(
        rolled_back=rolled_back,
        version=serving.number,
        artifact=ArtifactRef(storage, serving.artifact),
        transforms=TransformsRef(storage, transforms) if transforms else None,
        not_comparable=not_comparable,
    )


DAMAGED = "its stored files are damaged or gone; roll back, or promote another version"


def _difference(store: ObjectStore, serving: Version, candidate: ArtifactRef, dataset: DatasetRef) -> str:
    """Why the model that serves cannot answer this data set's rows with the same classes; empty if it can."""
    if not is_whole(store, serving.release) or not is_whole(store, serving.artifact):
        return DAMAGED
    theirs, mine = (read_manifest(store, digest).meta for digest in (serving.artifact, candidate.digest))
    if theirs["task"] != mine["task"] or theirs.get("classes") != mine.get("classes"):
        return "its task or classes differ from the candidate's"
    its_data = read_manifest(store, read_manifest(store, serving.release).meta["lineage"]["dataset"]).meta
    data = read_manifest(store, dataset.digest).meta
    if its_data["kind"] != data["kind"]:
        return f"it takes rows of kind {its_data['kind']}, not {data['kind']}"
    here = {column["name"]: column for column in data["schema"] if column["name"] in data["features"]}
    for column in its_data["schema"]:
        found = here.get(column["name"])
        if column["name"] in its_data["features"] and _shape(column) != (_shape(found) if found else None):
            return f"it wants the column {column['name']!r} as {column['type']}, which this data set does not have"
    return ""


def _shape(column: Mapping[str, Any]) -> tuple[Any, ...]:
    kind = "number" if column["type"] == "integer" else column["type"]
    return kind, column.get("shape")


def choose(
    section: EvaluateSection,
    everyone: Mapping[str, ArtifactRef],
    scores: Mapping[str, ScoresRef],
    latency: LatencyRef,
    features: FeaturesRef,
) -> Choice:
    """The candidate to judge, chosen on validation rows."""
    measured = read_latency(latency)
    candidates = {name: _candidate(name, everyone[name], scores[name], measured.get(name, {})) for name in everyone}
    baseline = candidates.pop(UNCOMPRESSED.name)
    targets = read_targets(features, "validation")
    return choose_candidate(section, targets, list(candidates.values()), baseline, target_scale(features))


def judge(
    section: EvaluateSection,
    choice: Choice,
    everyone: Mapping[str, ArtifactRef],
    scores: Mapping[str, ScoresRef],
    latency: LatencyRef,
    features: FeaturesRef,
    champion: Champion,
) -> Judgement:
    """The gate's verdict on test rows, against the fp32 teacher and the champion."""
    mine, teacher = read_scores(scores[choice.name]), read_scores(scores[UNCOMPRESSED.name])
    verdict = decide(
        section,
        read_targets(features, "test"),
        mine["test_outputs"],
        teacher["test_outputs"],
        read_scores(champion.scores)["test_outputs"] if champion.scores else None,
        scored=mine["test"]["metrics"][section.metric],
        target_scale=target_scale(features),
        same_as_champion=champion.same,
        rolled_back=champion.rolled_back,
        not_comparable=champion.not_comparable,
    )
    return Judgement(
        artifact=everyone[choice.name],
        scores=scores[choice.name],
        metric=section.metric,
        choice=choice,
        verdict=verdict,
        champion_version=champion.version,
        everyone=dict(everyone),
        all_scores=dict(scores),
        latency=latency,
    )


def _candidate(name: str, artifact: ArtifactRef, scores: ScoresRef, measured: Mapping[str, Any]) -> Candidate:
    manifest = read_manifest(open_store(artifact.uri), artifact.digest)
    speed = {int(b.removeprefix("b")): (m["ratio"], m["low"], m["high"]) for b, m in measured.items()}
    outputs = read_scores(scores)["validation_outputs"]
    return Candidate(name, outputs, manifest.files["model.onnx"].size, manifest.meta["operations"], speed)
