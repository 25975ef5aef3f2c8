"""Decided afresh each run: which candidate, whether it may be released, against which champion. Nothing here is cached."""

from dataclasses import dataclass, replace

from storage.manifests import read_manifest
from storage.objects import open_store
from storage.registry import open_registry

from storage.refs import ArtifactRef, FeaturesRef, LatencyRef, ScoresRef, TransformsRef
from tasks.scoring.choice import Choice
from tasks.scoring.gate import Verdict


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
    choice: Choice
    verdict: Verdict
    everyone: dict[str, ArtifactRef]
    all_scores: dict[str, ScoresRef]
    latency: LatencyRef


def find_champion(storage: str, name: str, alias: str, candidate: ArtifactRef) -> Champion:
    """The alias's version, and what the log knows of the candidate."""
    registry, store = open_registry(storage), open_store(storage)
    rolled_back = candidate.digest in registry.rolled_back(name)
    serving = registry.alias(name, alias)
    if serving is None:
        return Champion(rolled_back=rolled_back)
    if serving.artifact == candidate.digest:
        return Champion(same=True, version=serving.number)
    meta = read_manifest(store, serving.artifact).meta
    mine = read_manifest(store, candidate.digest).meta
    differs = meta["task"] != mine["task"] or meta.get("classes") != mine.get("classes")
    return Champion(
        rolled_back=rolled_back,
        version=serving.number,
        artifact=ArtifactRef(storage, serving.artifact),
        transforms=TransformsRef(storage, meta["transforms"]),
        not_comparable="its task or classes differ from the candidate's" if differs else "",
    )


def choose(
    section: EvaluateSection,
    everyone: Mapping[str, ArtifactRef],
    scores: Mapping[str, ScoresRef],
    latency: LatencyRef,
    features: FeaturesRef,
) -> Choice:
    """The candidate to judge, chosen on validation rows."""
    raise NotImplementedError


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
    raise NotImplementedError
