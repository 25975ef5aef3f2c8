"""`millrace reproduce`: make a run again by its own stored source, and say whether every step gave the same."""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from flows.aliases import existing_store
from flows.cli_history import named_run
from flows.fresh import Fresh
from flows.reproducing import (
    Recorded,
    Reproduction,
    check_data,
    check_environment,
    make_environment,
    other_machine,
    recorded,
    reproduce,
)
from storage.errors import ConfigError
from storage.objects import open_store
from storage.root import keep_inside, scratch_folder, work_folder
from storage.surroundings import surrounded

DONE, DIVERGED = 0, 1
DIGITS = 12


def reproduce_run(arguments: argparse.Namespace, told: Mapping[str, str]) -> int:
    """0 where all digests are equal, 1 where a step diverged. `told`: the variables by which the store is reached."""
    keep_inside()
    with surrounded(told):
        store = open_store(existing_store(arguments.storage))
        asked = recorded(store, named_run(store, arguments.run))
    with _folder(arguments.keep) as folder:
        with surrounded(told):
            fresh, notes = _prepared(arguments, asked, folder)
        done = reproduce(asked, fresh, notes)
    sys.stdout.write(f"{json.dumps(done.to_json())}\n" if arguments.json else _text(done, arguments.keep, folder))
    return DIVERGED if done.diverged else DONE


def _prepared(arguments: argparse.Namespace, asked: Recorded, folder: Path) -> tuple[Fresh, tuple[str, ...]]:
    """Where the run is to be made again, and what is known to differ there; each check is said as it is made."""
    _say(f"run {asked.run['run_id']}: {asked.run['pipeline']}, {len(asked.compared)} steps to compare")
    fresh = asked.lay_out(folder)
    _say(f"source       {asked.run['source']['digest'][:DIGITS]}, laid out in an empty folder")
    files = check_data(asked)
    _say(f"data         {f'{files} files, as they were' if files else 'no files: a set of scikit-learn itself'}")
    if arguments.environment == "new":
        _say("environment  a new one, by the run's lock file; this takes minutes")
        fresh = make_environment(asked, fresh)
    differing = check_environment(asked, fresh)
    if differing and not arguments.environment:
        raise ConfigError(
            f"run {asked.run['run_id']}: it was made with other versions: {'; '.join(differing)}. Install those for it alone: "
            "--environment new; or try with what is here: --environment same"
        )
    _say(f"environment  {'; '.join(differing) or 'Python and libraries as they were'}")
    machine = other_machine(asked)
    for note in machine:
        _say(f"machine      {note}: results may differ in the last bits")
    return fresh, (*differing, *machine)


@contextmanager
def _folder(keep: bool) -> Iterator[Path]:
    if keep:
        yield Path(tempfile.mkdtemp(dir=work_folder("reproduced")))
        return
    with scratch_folder("reproduce") as folder:
        yield folder


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _text(done: Reproduction, kept: bool, folder: Path) -> str:
    lines = [""]
    diverged = done.diverged
    for step in done.steps:
        mark = "✓" if step.found == step.recorded else "✗"
        after = "" if step.found == step.recorded else f" → {step.found[:DIGITS] or 'did not come about'}"
        lines.append(f"{mark} {step.name:<32} {step.recorded[:DIGITS]}{after}")
    lines += [f"  {name:<32} not compared: {why}" for name, why in done.left_out.items()]
    if diverged:
        lines += ["", f"diverged at {diverged.name}: recorded {diverged.recorded}, found {diverged.found or 'nothing'}"]
        lines += [f"  - {why}" for why in done.why]
    else:
        lines += ["", f"reproduced: {len(done.steps)} steps, equal digests"]
    return "\n".join([*lines, *([f"kept in {folder}"] if kept else [])]) + "\n"
