"""Where captured things lie: from an object's key to what it holds, and back."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from storage.objects import Listed, ObjectStore

FOLDER = "captures"
HOUR = "%Y-%m-%dT%H"
_NAME = r"(?P<model>[a-z0-9][a-z0-9._-]{0,63})"
_OBJECT = re.compile(
    rf"{FOLDER}/(?:(?P<unknown>labels)|{_NAME}/version=(?P<version>\d+)(?P<labels>/labels)?)"
    r"/hour=(?P<hour>\d{4}-\d\d-\d\dT\d\d)/[A-Za-z0-9._-]+\.parquet"
)


@dataclass(frozen=True, order=True)
class Place:
    """A folder of Parquet objects. `labels`: of labels, not requests; without a model: labels for whichever model has their requests."""

    model: str
    version: int
    labels: bool
    hour: str

    @property
    def folder(self) -> str:
        """Its key, without the objects' names."""
        above = version_folder(self.model, self.version) if self.model else FOLDER
        return f"{above}{'/labels' if self.labels else ''}/hour={self.hour}"


@dataclass(frozen=True)
class Captured:
    """One Parquet object."""

    place: Place
    listed: Listed

    @property
    def key(self) -> str:
        """Where it lies."""
        return self.listed.key


def version_folder(model: str, version: int) -> str:
    """Where all of one version lies."""
    return f"{FOLDER}/{model}/version={version}"


def reference_key(model: str, version: int) -> str:
    """Where a version's reference histograms lie."""
    return f"{version_folder(model, version)}/reference.json"


def hour_of(seconds: float) -> str:
    """The hour (UTC) of a moment in seconds since the epoch."""
    return datetime.fromtimestamp(seconds, UTC).strftime(HOUR)


def captured(store: ObjectStore, model: str = "") -> Iterator[Captured]:
    """What is captured of a model, or of all, in the order of the keys; without labels that name no model."""
    for found in _found(store, f"{FOLDER}/{model}" if model else FOLDER):
        if found.place.model:
            yield found


def unknown_labels(store: ObjectStore) -> Iterator[Captured]:
    """The labels that name no model."""
    return (found for found in _found(store, f"{FOLDER}/labels") if not found.place.model)


def _found(store: ObjectStore, folder: str) -> Iterator[Captured]:
    for item in store.survey(folder):
        if match := _OBJECT.fullmatch(item.key):
            model, version = match["model"] or "", int(match["version"] or 0)
            yield Captured(Place(model, version, bool(match["unknown"] or match["labels"]), match["hour"]), item)
