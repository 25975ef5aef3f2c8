"""What is in use: the registry's versions, the runs that are kept, what is in progress, and all that these name.

Registry logs name releases and artifacts; runs name their steps' keys, outputs, reports and sources; records and manifests name manifests
and blobs. Results of shards are in use with the data sets that they share blobs with. While a run is going on every step's record and
every shard's result is in use: it may be finding them at this moment. So is whatever is young.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from storage.naming import Names, Survey, is_source
from storage.objects import Listed
from storage.registry import Registry

_RUN = re.compile(r"runs/([0-9]{8}-[0-9]{6}-[0-9a-f]{8})\.json")
_DAY_SECONDS = 86_400.0
_NAMING = ("steps", "manifests")  # what names more when it is named


@dataclass(frozen=True)
class Retention:
    """Which runs are kept: the latest `runs`, those of the last `days`; None: all. Both given, a run goes that neither keeps."""

    runs: int | None = None
    days: float | None = None

    def dropped(self, ids: list[str], age_seconds: Callable[[str], float]) -> set[str]:
        """The runs that need not be kept."""
        if self.runs is None and self.days is None:
            return set()
        latest = set(sorted(ids, reverse=True)[: self.runs or 0])
        recent = {run_id for run_id in ids if self.days is not None and age_seconds(run_id) < self.days * _DAY_SECONDS}
        return set(ids) - latest - recent


@dataclass(frozen=True)
class Released:
    """What the registry's logs name. `digests`: of manifests; `runs`: which made the versions."""

    digests: frozenset[str]
    runs: frozenset[str]


def released(registry: Registry) -> Released:
    """Raises `Untrusted` where a log is broken, or signed by somebody unknown here: what it named cannot be told then."""
    entries = [entry for name in registry.names() for entry in registry.entries(name) if entry.action == "register"]
    digests = {entry.fields[field] for entry in entries for field in ("release", "artifact")}
    return Released(frozenset(digests), frozenset(entry.fields.get("run_id", "") for entry in entries))


def run_ids(survey: Survey) -> dict[str, str]:
    """The runs' ids by their objects' keys."""
    return {key: match[1] for key in survey.items if (match := _RUN.fullmatch(key))}


def in_use(
    survey: Survey, names: Names, versions: Released, dropped: set[str], live: bool, young: set[str]
) -> set[str]:
    """The keys of all that is in use. `dropped`: keys of runs that do not count; `live`: whether a run is going on.

    Raises `Unreadable` for a run or manifest in use that is damaged.
    """
    shards = survey.below("shards")
    kept = {item.key for item in survey.below("runs")} - dropped
    kept |= {
        item.key for item in survey.below(*_NAMING) if item.key in young or (live and item.key.startswith("steps/"))
    }
    kept |= {key for digest in versions.digests for key in survey.bearing.get(digest, ())}
    kept |= {key for key in survey.items if live and is_source(key)}
    _follow(survey, names, kept, {item for key, item in survey.items.items() if key in kept})
    digests = _digests(kept)
    for pack, named in names.of(shards).items():
        if live or pack.key in young or named & digests:
            kept.add(pack.key)
            kept |= {key for digest in named for key in survey.bearing.get(digest, ()) if key.startswith("blobs/")}
    blobs = {key.rpartition("/")[2] for key in kept if key.startswith("blobs/")}
    return kept | {item.key for item in survey.below("damaged") if item.key.partition("/")[2] in blobs}


def _follow(survey: Survey, names: Names, kept: set[str], front: set[Listed]) -> None:
    """Add to `kept` what the objects in `front` name, and what that names, to the end."""
    while front:
        naming = [item for item in front if item.key.partition("/")[0] in ("runs", *_NAMING)]
        digests = {digest for named in names.of(naming).values() for digest in named}
        new = {key for digest in digests for key in survey.bearing.get(digest, ())} - kept
        kept |= new
        front = {survey.items[key] for key in new}


def _digests(keys: set[str]) -> set[str]:
    return {key.rpartition("/")[2].partition(".")[0] for key in keys if key.startswith("blobs/")}
