"""What is judged, beside which champion. The registry is asked afresh each run, and what it says is an input of the verdict."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from storage.manifests import read_manifest
from storage.objects import ObjectStore, open_store
from storage.refs import ArtifactRef, DatasetRef, LatencyRef, ScoresRef, TransformsRef
from storage.registry import Version, open_registry
from storage.wholeness import damage
from tasks.scoring.decisions import Choice, Verdict

ALREADY_CHAMPION = Verdict("promote", ("already the champion",), {})


@dataclass(frozen=True)
class Champion:
    """The model that serves now, as far as this run needs it."""

    same: bool = False  # the candidate already serves
    rolled_back: bool = False  # the candidate once served and was rolled back
    version: int | None = None
    artifact: ArtifactRef | None = None
    transforms: TransformsRef | None = None
    scores: ScoresRef | None = None
    not_comparable: str = ""

    @property
    def to_compare(self) -> bool:
        """Whether there is another model to be compared with."""
        return self.artifact is not None and not self.same and not self.not_comparable

    @property
    def facts(self) -> dict[str, Any]:
        """What the verdict on another model depends on."""
        return {
            "rolled_back": self.rolled_back,
            "scores": self.scores,
            "not_comparable": self.not_comparable,
        }

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
    if damage(store, serving.release, 0) or damage(store, serving.artifact, 0):
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


def holds_alias(inputs: Mapping[str, Any]) -> str:
    """Why a recorded release no longer holds: it does only while the log says that this artifact has the alias. Empty: it holds."""
    alias = inputs["release"].alias
    serving = open_registry(inputs["storage"]).alias(inputs["name"], alias)
    if serving is not None and serving.artifact == inputs["artifact"].digest:
        return ""
    return f"the alias {alias!r} points at {f'version {serving.number}' if serving else 'nothing'}, not at this model"
