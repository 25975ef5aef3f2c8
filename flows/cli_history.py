"""The commands about earlier runs: runs, show, why, report. What they say is in the runs' own manifests."""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from flows.aliases import existing_store
from flows.journal import LOST, RUNNING
from flows.wording import runs_text, show_text, why_text
from storage.errors import ConfigError, CorruptArtifact, NotFound
from storage.leases import live_runs
from storage.objects import ObjectStore, open_store
from storage.runs import list_runs, read_run

LAST = "last"


def runs(arguments: argparse.Namespace) -> int:
    """List the runs, the latest first; what is said of one that cannot be read goes to standard error."""
    store = open_store(existing_store(arguments.storage))
    listed = list_runs(store)
    alive = live_runs(store)
    read = [_settled(run, alive) for run in _readable(store, listed[: arguments.limit or len(listed)])]
    told = [{name: value for name, value in run.items() if name != "config"} for run in read]
    return _tell(arguments, told, runs_text(read))


def show(arguments: argparse.Namespace) -> int:
    """What one run did, and what it cost."""
    run = named_run(open_store(existing_store(arguments.storage)), arguments.run)
    return _tell(arguments, run, show_text(run))


def why(arguments: argparse.Namespace) -> int:
    """Why the steps of a run ran."""
    run = named_run(open_store(existing_store(arguments.storage)), arguments.run)
    steps = _steps(run, arguments.step)
    return _tell(arguments, {"run_id": run["run_id"], "steps": steps}, why_text(run, steps))


def report(arguments: argparse.Namespace) -> int:
    """Draw the report of a run afresh, from what it stored."""
    from flows.reporting import drawn_report

    url = existing_store(arguments.storage)
    sys.stdout.write(f"{drawn_report(url, named_run(open_store(url), arguments.run))}\n")
    return 0


def _readable(store: ObjectStore, run_ids: Iterable[str]) -> Iterator[dict[str, Any]]:
    for run_id in run_ids:
        try:
            yield read_run(store, run_id)
        except CorruptArtifact as error:
            sys.stderr.write(f"millrace: {error}\n")


def named_run(store: ObjectStore, name: str) -> dict[str, Any]:
    """The manifest of the run with that id, or the beginning of it, or the `last`; ConfigError where it is none or several."""
    everything = list_runs(store)
    found = everything[:1] if name == LAST else [run_id for run_id in everything if run_id.startswith(name)]
    if not found:
        raise NotFound(f"run {name!r}: not in store {store.url}, which has {len(everything)}; list them: millrace runs")
    if len(found) > 1:
        raise ConfigError(f"run {name!r}: {len(found)} runs begin so, {found[-1]} and {found[0]} among them; give more")
    return _settled(read_run(store, found[0]), live_runs(store))


def _settled(run: dict[str, Any], alive: set[str]) -> dict[str, Any]:
    """The run as its manifest says; one that is not there any more and could not say so is `lost`."""
    return {**run, "status": LOST} if run["status"] == RUNNING and run["run_id"] not in alive else run


def _steps(run: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """The step of that name, all of that kind (`compress` for each recipe), or without a name every one."""
    found = [step for step in run["steps"] if name in ("", step["name"], step["step"])]
    if not found and name:
        names = ", ".join(step["name"] for step in run["steps"]) or "none"
        raise ConfigError(f"step {name!r}: not in run {run['run_id']}, whose steps are: {names}")
    return found


def _tell(arguments: argparse.Namespace, told: Any, text: str) -> int:
    sys.stdout.write(json.dumps(told) + "\n" if arguments.json else text)
    return 0
