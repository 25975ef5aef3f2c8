"""The cache of steps: what a key is made of, whether a step must run and why, and how its result is committed. No Prefect here.

A key = the step's name + the code that it reaches + its part of the configuration + the digests of its inputs + the public versions
of the libraries that it reaches. What made a key is kept beside its record, so that a later run can say what has changed.
"""

import contextvars
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import zstandard

from storage.blobs import Blob, put_blob, read_blob
from storage.errors import ConfigError
from storage.fingerprints import Reach, reach, still_reached
from storage.keys import step_key
from storage.leases import hold_lease
from storage.locks import hold
from storage.manifests import canonical_json
from storage.metering import metered
from storage.objects import ObjectStore, open_store
from storage.records import Lookup, StepRecord, find_record, put_record
from storage.refs import Ref
from tasks.progress import current_run_id
from tasks.sections import Section

NOT_IN_KEY = {"storage", "expected_version"}
EXPLAINED_DIGITS = 16  # of a definition's digest: enough to see that it changed
Validity = Callable[[Mapping[str, Any]], str]


@dataclass(frozen=True)
class Parts:
    """What a step's key is made of. `fields`: sections' fields, inputs' digests, plain values, by parameter."""

    name: str
    fields: Mapping[str, Any]
    reach: Reach

    @cached_property
    def key(self) -> str:
        """The step's key, 64 hexadecimal digits."""
        return step_key(self.name, self.fields, self.reach.digest, self.reach.libraries)

    def to_json(self) -> dict[str, Any]:
        """What is kept with the record."""
        definitions = {name: digest[:EXPLAINED_DIGITS] for name, digest in self.reach.definitions.items()}
        return {"fields": self.fields, "definitions": definitions, "libraries": self.reach.libraries}


@dataclass(frozen=True)
class Trust:
    """How far this run believes records. `share`: of a hit's blobs, that are hashed; `force`: not at all, every step runs."""

    share: float = 0.0
    force: bool = False


trust: contextvars.ContextVar[Trust] = contextvars.ContextVar("trust", default=Trust())  # noqa: B039  it is frozen
_in_progress: contextvars.ContextVar[Parts] = contextvars.ContextVar("in_progress")
_asked: contextvars.ContextVar[tuple[Parts, Lookup] | None] = contextvars.ContextVar("asked", default=None)


_made: dict[str, StepRecord] = {}


@dataclass(frozen=True)
class StepCache:
    """The cache of one step. `function`: `module:name`, where its code begins; `valid`: why a whole record does not count all the
    same (release: the alias has moved), empty where it does."""

    name: str
    function: str
    valid: Validity | None = None

    def parts(self, inputs: Mapping[str, Any]) -> Parts:
        """What the key for these inputs is made of."""
        if asked := _asked.get():
            return asked[0]
        fields = {name: _identity(value) for name, value in inputs.items() if name not in NOT_IN_KEY}
        return Parts(self.name, fields, reach(*self._entries(inputs)))

    def _entries(self, inputs: Mapping[str, Any]) -> list[str]:
        """Where the step's code begins: our function, and those of the user's that its sections name."""
        sections = [value for value in inputs.values() if isinstance(value, Section)]
        return [self.function, *(entry for section in sections for entry in section.own_code())]

    def look_up(self, parts: Parts, inputs: Mapping[str, Any]) -> Lookup:
        """The record that makes these inputs a hit; without one the step must run, and `damage` may say why."""
        if asked := _asked.get():
            return asked[1]
        if parts.reach.obstacles:
            return Lookup(damage=tuple(f"not cached: {obstacle}" for obstacle in parts.reach.obstacles))
        if trust.get().force:
            return Lookup(damage=("forced",))
        lookup = find_record(open_store(inputs["storage"]), parts.key, trust.get().share)
        objection = self.valid(inputs) if lookup.record and self.valid else ""
        return Lookup(attempt=lookup.attempt, damage=(objection,)) if objection else lookup

    def result(self, function: Callable[..., Ref], inputs: Mapping[str, Any], waiting: Callable[[], None]) -> Ref:
        """The step's output: found, or else computed and committed. `waiting` hears where another run is at this very step."""
        parts, before = self.parts(inputs), _asked.get()
        refused = before[1].attempt if before and before[1].record is None else 0
        store = open_store(inputs["storage"])
        with hold(parts.key, waiting), hold_lease(store, f"step-{parts.key}", waiting), _unasked():
            # another run, here or on another machine, may just have made it: then its result is ours
            lookup = self.look_up(parts, inputs)
            if lookup.record and lookup.attempt > refused:  # what was damaged and is mended stays a miss
                return lookup.record.output
            return self._compute(parts, function, inputs)

    def _compute(self, parts: Parts, function: Callable[..., Ref], inputs: Mapping[str, Any]) -> Ref:
        """Run the step and commit its result under the key that it had at the start."""
        token = _in_progress.set(parts)
        try:
            with metered() as meter:
                output = function(**_in_order(inputs))
        finally:
            _in_progress.reset(token)
        if self.parts(inputs).key != parts.key or not still_reached(parts.reach, *self._entries(inputs)):
            raise ConfigError(
                f"step {self.name}: its code or libraries were changed while it ran; its result is not kept, run again"
            )
        store, run_id = open_store(inputs["storage"]), current_run_id()
        cost = meter.cost()
        record = StepRecord(
            key=parts.key,
            name=self.name,
            output=output,
            seconds=cost["wall_seconds"] or 0.0,
            created=time.time(),
            run_id=run_id,
            parts=put_parts(store, parts),
            cost=cost,
        )
        if not parts.reach.obstacles:
            put_record(store, record)
        _made[parts.key] = record
        return output


@contextmanager
def asked(parts: Parts, lookup: Lookup) -> Iterator[None]:
    """What was just found out about the step that is run meanwhile, so that it is not asked again."""
    token = _asked.set((parts, lookup))
    try:
        yield
    finally:
        _asked.reset(token)


@contextmanager
def _unasked() -> Iterator[None]:
    token = _asked.set(None)
    try:
        yield
    finally:
        _asked.reset(token)


def made(key: str) -> StepRecord | None:
    """The record that this process has just computed under that key, told once; None where it computed nothing."""
    return _made.pop(key, None)


def put_parts(store: ObjectStore, parts: Parts) -> Blob:
    """Store what a key is made of."""
    return put_blob(store, zstandard.compress(canonical_json(parts.to_json())), ".json.zst")


def read_parts(store: ObjectStore, blob: Blob) -> dict[str, Any]:
    """What `put_parts` stored; `NotFound`, `CorruptArtifact`."""
    return json.loads(zstandard.decompress(read_blob(store, blob)))


def parts_in_progress() -> Parts:
    """What the key of the step that this thread computes is made of."""
    return _in_progress.get()


def _in_order(value: Any) -> Any:
    """The same, mappings in the order of their keys: in whatever order they come they have one key, so no result may depend on it."""
    if isinstance(value, Mapping):
        return {name: _in_order(value[name]) for name in sorted(value)}
    return [_in_order(item) for item in value] if isinstance(value, list) else value


def _identity(value: Any) -> Any:
    if isinstance(value, Section):
        return value.key_fields()
    if isinstance(value, Ref):
        return value.digest
    if isinstance(value, Mapping):
        return {name: _identity(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_identity(item) for item in value]
    return value
