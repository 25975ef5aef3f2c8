"""Which data set a name means: a digest, a run, or a pipeline."""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from flows.cli_history import LAST, named_run
from flows.reasons import RUNS_LOOKED_AT
from storage.errors import CorruptArtifact, NotFound
from storage.objects import ObjectStore
from storage.runs import list_runs, read_run

DIGEST = re.compile(r"[0-9a-f]{64}")
RUN = re.compile(r"[0-9]{8}(-.*)?")


@dataclass(frozen=True)
class Named:
    """The data set's digest, and the run that was asked for, where it was one."""

    digest: str
    run: Mapping[str, Any] | None = None


def named_dataset(store: ObjectStore, name: str) -> Named:
    """What `name` means: a data set's digest; a run's id, its beginning, or `last`; or a pipeline, whose latest data set counts."""
    if DIGEST.fullmatch(name):
        return Named(name, _run_of(store, name))
    if name == LAST or RUN.fullmatch(name):
        run = named_run(store, name)
        if digest := prepared_by(run):
            return Named(digest, run)
        said = f": {run['error']}" if run["error"] else ""
        raise NotFound(f"run {run['run_id']}: made no data set (it {run['status']}{said})")
    for run_id in list_runs(store):
        run = read_run(store, run_id)
        if run["pipeline"] == name and (digest := prepared_by(run)):
            return Named(digest, run)
    raise NotFound(f"{name!r}: no run of that name in store {store.url} has made a data set; list them: millrace runs")


def source_changes(store: ObjectStore, dataset: str, pipeline: str, run_id: str) -> tuple[str, ...]:
    """What the contract of that data set says otherwise than that of the pipeline's run before `run_id`, in words; none without one.

    A data set is what its inputs make it: this is told beside it, and no part of it.
    """
    from tasks.frames.stored_contracts import changes, read_contract

    before = next((digest for digest in _earlier(store, pipeline, run_id)), dataset)
    if before == dataset:
        return ()
    try:
        return tuple(changes(read_contract(store, before), read_contract(store, dataset)))
    except (NotFound, CorruptArtifact):  # it was removed, or is older than contracts
        return ()


def _earlier(store: ObjectStore, pipeline: str, run_id: str) -> Iterator[str]:
    for earlier in (one for one in list_runs(store)[:RUNS_LOOKED_AT] if one < run_id):
        with suppress(NotFound, CorruptArtifact):
            run = read_run(store, earlier)
            if run["pipeline"] == pipeline and (digest := prepared_by(run)):
                yield digest


def prepared_by(run: Mapping[str, Any]) -> str:
    """The digest of the run's data set; empty where it has none."""
    return next((step["output"] for step in run["steps"] if step["name"] == "prepare"), "")


def _run_of(store: ObjectStore, digest: str) -> Mapping[str, Any] | None:
    """The latest run that has this data set; None where it is none's."""
    runs = (read_run(store, run_id) for run_id in list_runs(store))
    return next((run for run in runs if prepared_by(run) == digest), None)
