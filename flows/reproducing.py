"""A run made again by its own stored source in a fresh place, and compared with what is recorded of it, step by step."""

import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from flows.fresh import Fresh, install
from flows.journal import FINISHED
from flows.reasons import differences, parts_of
from infra.foreground import INTERRUPTED
from infra.machine import processor
from storage.blobs import Blob
from storage.errors import ConfigError, NotFound, ProcessFailed, SchemaError
from storage.manifests import copy_files
from storage.objects import ObjectStore, open_store
from storage.runs import list_runs, read_run
from storage.snapshots import unpack_snapshot
from storage.surroundings import surrounded
from tasks.sections import DataSection, StorageSection

WHOLE_CHAIN = "pipeline"
LEFT_OUT = {
    "measure": "latencies are those of a machine at a moment",
    "choose": "latencies may veto a candidate",
    "judge": "it depends on the champion of that time",
    "release": "it depends on the registry",
    "encode for champion": "it depends on the champion of that time",
    "score champion": "it depends on the champion of that time",
}
SKLEARN = "sklearn:"  # its sets count by the library's version, which is compared with the libraries


@dataclass(frozen=True)
class Compared:
    """One step's output: the digest recorded, and the one found now; empty where the step did not come about."""

    name: str
    recorded: str
    found: str


@dataclass(frozen=True)
class Reproduction:
    """What came of it. `left_out`: steps that are not compared, with the reason; `why`: what is known of the first divergence;
    `error`: what ended the run that was made again, empty where it came to its end."""

    run_id: str
    steps: tuple[Compared, ...]
    left_out: Mapping[str, str]
    why: tuple[str, ...]
    error: str

    @property
    def diverged(self) -> Compared | None:
        """The first step with another output."""
        return next((step for step in self.steps if step.found != step.recorded), None)

    def to_json(self) -> dict[str, Any]:
        """Plain values for programs."""
        diverged = self.diverged
        return {
            "run_id": self.run_id,
            "reproduced": diverged is None,
            "diverged": diverged.name if diverged else None,
            "why": list(self.why),
            "error": self.error,
            "steps": [{"name": s.name, "recorded": s.recorded, "found": s.found or None} for s in self.steps],
            "not_compared": dict(self.left_out),
        }


@dataclass(frozen=True)
class Recorded:
    """A run that is to be made again. `told`: the variables by which its store and sources are reached."""

    store: ObjectStore
    run: Mapping[str, Any]
    data: DataSection
    told: Mapping[str, str]

    @property
    def compared(self) -> dict[str, str]:
        """The steps that are compared, with the digests of their outputs, in their order."""
        return {s["name"]: s["output"] for s in self.run["steps"] if s["output"] and s["name"] not in LEFT_OUT}

    @property
    def environment(self) -> Mapping[str, Any]:
        """What the run was made with."""
        return self.run.get("environment") or {}

    def lay_out(self, folder: Path) -> Fresh:
        """The run's source below `folder`."""
        fresh = Fresh(folder)
        unpack_snapshot(self.store, Blob(**self.run["source"]), fresh.source)
        return fresh

    def key(self, name: str) -> str:
        """The key that a step had."""
        return next(step["key"] for step in self.run["steps"] if step["name"] == name)


def recorded(store: ObjectStore, run: Mapping[str, Any]) -> Recorded:
    """The run, fit to be made again. NotFound and ConfigError say what is missing."""
    name = f"run {run['run_id']}"
    if run.get("flow") != WHOLE_CHAIN:
        raise ConfigError(f"{name}: found the flow {run.get('flow')!r} alone, wanted a run of the whole chain")
    if not run.get("source"):
        raise NotFound(f"{name}: its source was not kept; reproduce a later run")
    try:
        data = DataSection.model_validate(run["config"]["data"])
        told = StorageSection.model_validate(run["config"]["storage"]).variables()
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        raise ConfigError(
            f"{name}: this Millrace does not know its configuration ({where}); use the one it was made with"
        ) from None
    found = Recorded(store, run, data, told)
    if not found.compared:
        raise NotFound(f"{name}: found no step with an output (it {run.get('status')}), wanted some to compare")
    return found


def check_data(recorded: Recorded) -> int:
    """How many files the sources have, all as they were. SchemaError naming those that are not, NotFound where nothing is there."""
    from tasks.frames.identity import source_identity

    parts = parts_of(recorded.store, recorded.key("prepare")) if "prepare" in recorded.compared else None
    before = _files((parts or {}).get("fields", {}).get("identity", {}))
    with surrounded(recorded.told):
        now = _files(source_identity(recorded.data))
    changed = list(differences(_only_fields(before), _only_fields(now))) if parts else []
    if changed:
        raise SchemaError(
            f"run {recorded.run['run_id']}: its data are not what they were: {'; '.join(changed)}; put back the files that it read, "
            "or run afresh: millrace run"
        )
    return len(now)


def check_environment(recorded: Recorded, fresh: Fresh) -> tuple[str, ...]:
    """What differs between what the run was made with and what `fresh` would run it with: Python and libraries."""
    before, python = recorded.environment.get("libraries", {}), recorded.environment.get("python", "")
    now = fresh.installed(before)
    other = python and _minor(python) != _minor(fresh.version)
    changed = (f"{n} {v} → {now.get(n, 'not installed')}" for n, v in before.items() if now.get(n) != v)
    return (*([f"Python {python} → {fresh.version}"] if other else []), *changed)


def other_machine(recorded: Recorded) -> tuple[str, ...]:
    """What may change bits although nothing else has changed."""
    here = {"processor": processor(), "platform": f"{platform.system()} {platform.machine()}"}
    before = recorded.environment
    return tuple(f"{name} {before[name]} → {here[name]}" for name in here if before.get(name, here[name]) != here[name])


def make_environment(recorded: Recorded, fresh: Fresh) -> Fresh:
    """A new environment by the run's own lock file."""
    return install(fresh, recorded.environment.get("python") or platform.python_version())


def reproduce(recorded: Recorded, fresh: Fresh, notes: tuple[str, ...]) -> Reproduction:
    """Run the chain again in `fresh` and compare. `notes`: what is known to differ, for the case that the outputs do."""
    store, pinned = open_store(str(fresh.root / "store")), _pinned(recorded)
    if pinned:
        copy_files(recorded.store, pinned, store)
    code = fresh.run(_config(recorded.run["config"], pinned), recorded.told)
    if code == INTERRUPTED:
        raise KeyboardInterrupt
    runs = list_runs(store)
    if not runs:
        raise ProcessFailed(
            f"run {recorded.run['run_id']}: it could not be made again (code {code}); what it says is above"
        )
    again = read_run(store, runs[0])
    outputs = {step["name"]: step["output"] for step in again["steps"]}
    steps = tuple(Compared(n, digest, outputs.get(n, "")) for n, digest in recorded.compared.items())
    left_out = {step["name"]: LEFT_OUT[step["name"]] for step in recorded.run["steps"] if step["name"] in LEFT_OUT}
    error = "" if again["status"] == FINISHED else again["error"] or again["status"]
    found = Reproduction(recorded.run["run_id"], steps, left_out, (), error)
    why = tuple(_why(recorded, store, again, found.diverged, notes)) if found.diverged else ()
    return Reproduction(found.run_id, steps, left_out, why, error)


def _why(
    recorded: Recorded, store: ObjectStore, again: Mapping[str, Any], diverged: Compared, notes: tuple[str, ...]
) -> Iterator[str]:
    """What is known to differ at the first step that diverged."""
    if not diverged.found:
        yield f"it did not come about: {again['error'] or again['status']}"
        return
    keys = {step["name"]: step["key"] for step in again["steps"]}
    before, now = parts_of(recorded.store, recorded.key(diverged.name)), parts_of(store, keys[diverged.name])
    known = [*(differences(before, now) if before and now else ()), *notes]
    yield from known
    if not known:
        yield "code, settings, inputs, libraries and processor are the same: the step gives another output each time"


def _pinned(recorded: Recorded) -> str:
    """The digest of the transforms that were pinned, whoever's they were; empty where the run fitted its own."""
    parts = parts_of(recorded.store, recorded.key("fit")) if "fit" in recorded.compared else None
    return (parts or {}).get("fields", {}).get("pinned", "")


def _config(config: Mapping[str, Any], pinned: str) -> dict[str, Any]:
    """The same work on this machine, into the store of the fresh data root, without asking anybody."""
    release = {**config["release"], "approval": {}}
    transforms = {**config["transforms"], "pin": pinned}
    return {**config, "storage": {}, "cluster": {}, "release": release, "transforms": transforms}


def _files(identity: Mapping[str, Any]) -> dict[str, str]:
    files = [file for source in identity.get("sources", ()) for file in source]
    return {f"source {name}": digest for name, digest in files if not name.startswith(SKLEARN)}


def _only_fields(fields: Mapping[str, str]) -> dict[str, Any]:
    return {"fields": fields, "definitions": {}, "libraries": {}}


def _minor(python: str) -> str:
    return ".".join(python.split(".")[:2])
