"""`millrace import`: a model made elsewhere, as a version like our own. Exit code 3 where the gate said hold or reject."""

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

from flows.ending import NOT_PROMOTED, PROMOTED
from storage.errors import ConfigError
from storage.root import default_storage, keep_inside


def import_model(arguments: argparse.Namespace) -> int:
    """Import, show what came of it; the exit code. Mistakes in the options end before anything heavy is loaded."""
    _check(arguments)
    keep_inside()
    from flows.import_model import Wish
    from flows.import_model import import_model as work
    from tasks.imports.answers import Said
    from tasks.imports.inputs import Asked

    wish = Wish(
        arguments.name,
        Path(arguments.file),
        arguments.sample or arguments.data,
        arguments.data,
        arguments.storage or default_storage(),
        arguments.alias,
        arguments.promote,
        Asked(arguments.target, _listed(arguments.columns), _numbers("mean", arguments), _numbers("std", arguments)),
        Said(arguments.task, _listed(arguments.classes), arguments.outputs, arguments.target),
        arguments.minimum,
        arguments.margin,
        arguments.tolerance,
    )
    summary = work(wish, _tell)
    _show(summary, wish.storage, wish.alias, arguments.json)
    verdict = summary["verdict"]
    return PROMOTED if verdict is None or verdict["decision"] == "promote" else NOT_PROMOTED


def _check(arguments: argparse.Namespace) -> None:
    if not (arguments.sample or arguments.data):
        raise ConfigError(
            "--sample: found none, wanted a file with some rows to try the model on, or --data with labelled ones"
        )
    if arguments.data and not arguments.target:
        raise ConfigError(f"--data {arguments.data}: found no --target, wanted the column that holds the right answers")
    if arguments.data and arguments.promote:
        raise ConfigError(
            "--promote: found --data beside it, wanted one of the two: with labelled rows the gate decides"
        )
    for option, most in (("margin", math.inf), ("tolerance", 0.5)):  # probabilities are never more than 1 apart
        value = getattr(arguments, option)
        if value is not None and not 0 < value < most:
            raise ConfigError(f"--{option}: found {value:g}, wanted more than 0 and less than {most:g}")


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _show(summary: dict[str, Any], storage: str, alias: str, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(summary) + "\n")
        return
    from flows.summary import serving_example
    from tasks.report.imported import imported_text

    release = summary["release"]
    serve = (
        serving_example(storage, summary["model"], alias, f"import-{release['digest'][:12]}")
        if release["alias"]
        else None
    )
    sys.stdout.write(f"\n{imported_text(summary, serve)}\n")


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",")) if text else ()


def _numbers(option: str, arguments: argparse.Namespace) -> tuple[float, ...]:
    try:
        found = tuple(float(part) for part in _listed(getattr(arguments, option)))
    except ValueError:
        raise ConfigError(
            f"--{option}: found {getattr(arguments, option)!r}, wanted numbers, such as 0.485,0.456,0.406"
        ) from None
    if option == "std" and not all(value > 0 for value in found):
        raise ConfigError(f"--std: found {getattr(arguments, option)}, wanted numbers above 0")
    return found
