"""Why a step must run, in words: what differs between the key's parts now and those of the last run of this pipeline."""

import threading
from collections.abc import Iterator, Mapping
from typing import Any

from storage.blobs import check_digest
from storage.errors import ConfigError, CorruptArtifact, NotFound
from storage.objects import ObjectStore
from storage.records import Lookup, attempts, read_record
from storage.runs import list_runs, read_run
from tasks.caching import Parts, read_parts

RUNS_LOOKED_AT = 20
NAMED = 6  # of many differences of one kind
SHOWN_CHARACTERS = 60
FIRST = "it has not run here before"


class History:
    """The steps of a pipeline's earlier runs, the latest first; read as far as they are asked for. Safe for threads."""

    def __init__(self, store: ObjectStore, pipeline: str) -> None:
        self._store, self._pipeline = store, pipeline
        self._runs = self._earlier()
        self._known: dict[str, Mapping[str, Any]] = {}
        self._reading = threading.Lock()

    def entry(self, name: str) -> Mapping[str, Any] | None:
        """What the latest run that had this step, and did not fail at it, says of it."""
        with self._reading:
            while name not in self._known:
                steps = next(self._runs, None)
                if steps is None:
                    return None
                for step in filter(_says_what_it_made, steps):
                    self._known.setdefault(step["name"], step)
            return self._known[name]

    def _earlier(self) -> Iterator[list[Mapping[str, Any]]]:
        for run_id in list_runs(self._store)[:RUNS_LOOKED_AT]:
            try:
                run = read_run(self._store, run_id)
            except (NotFound, CorruptArtifact):
                continue
            if run.get("pipeline") == self._pipeline:
                yield run.get("steps", [])


def why_missing(store: ObjectStore, history: History, name: str, parts: Parts, lookup: Lookup) -> tuple[str, ...]:
    """The reasons for a MISS of the step `name`."""
    if lookup.damage:
        return lookup.damage
    earlier = history.entry(name)
    if earlier is None:
        return (FIRST,)
    if earlier["key"] == parts.key:
        return ("nothing changed, but its record is gone",)
    before = parts_of(store, earlier["key"])
    if before is None:
        return (f"its key changed, and the record of the last run ({earlier['key'][:12]}) is gone",)
    return tuple(differences(before, parts.to_json())) or ("the format of keys changed",)


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """What differs: fields from what to what, inputs, sources, code by function, libraries by version."""
    yield from _few(_fields(_flat(before["fields"]), _flat(now["fields"])), "more fields")
    yield from _few(_code(before["definitions"], now["definitions"]), "more pieces of code")
    old, new = before["libraries"], now["libraries"]
    for library in sorted(old.keys() | new.keys()):
        if old.get(library) != new.get(library):
            yield f"library {library}: {old.get(library, 'not used')} → {new.get(library, 'not used')}"


def parts_of(store: ObjectStore, key: str) -> dict[str, Any] | None:
    """What a key was made of; None where that is not kept any more."""
    for attempt in reversed(attempts(store, key)):
        record = read_record(store, key, attempt)
        if record and record.parts:
            try:
                return read_parts(store, record.parts)
            except (NotFound, CorruptArtifact):
                return None
    return None


def _says_what_it_made(step: Any) -> bool:
    """Whether a run's entry of a step, for which no digest vouches, has what is asked of it; that of a failed one has not."""
    try:
        return bool(step["name"] and step["output"] and check_digest(step["key"]))
    except (KeyError, TypeError, ConfigError):
        return False


def _flat(fields: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested fields by their dotted names; lists of the sources' files by file."""
    flat: dict[str, Any] = {}
    for name, value in fields.items():
        path = f"{prefix}{name}"
        if path == "identity.sources":
            flat |= {f"source {file}": digest for files in value for file, digest in files}
        elif isinstance(value, Mapping):
            flat |= _flat(value, f"{path}.")
        else:
            flat[path] = list(value) if isinstance(value, tuple) else value
    return flat


def _fields(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted(old.keys() | new.keys()):
        if name not in new:
            yield f"{name}: removed"
        elif name not in old:
            yield f"{name}: added" if name.startswith("source ") else f"{name}: not there before → {_shown(new[name])}"
        elif old[name] != new[name]:
            same = name.startswith("source ")
            yield f"{name}: changed" if same else f"{name}: {_shown(old[name])} → {_shown(new[name])}"


def _code(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            how = (
                "changed" if name in old and name in new else "is reached now" if name in new else "is not reached now"
            )
            yield f"code {name} {how}"


def _few(found: Iterator[str], what: str) -> Iterator[str]:
    everything = list(found)
    yield from everything[:NAMED]
    if len(everything) > NAMED:
        yield f"and {len(everything) - NAMED} {what}"


def _shown(value: Any) -> str:
    if isinstance(value, str) and len(value) == 64:
        return value[:12]
    text = str(value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"
