"""A program that does one job: told by a JSON file, heard through JSON lines, its output folder there whole or not at all."""

import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from storage.errors import MillraceError
from storage.metering import metered

USER_ERROR = 2


def emit(event: str, **fields: Any) -> None:
    """Write one event as a line of JSON on standard output."""
    _line({"event": event, **fields})


def run(work: Callable[[Mapping[str, Any]], None], arguments: list[str]) -> int:
    """Do `work` on the job in the file that is the only argument; the exit code: 0, or 2 after an `{"error": …}` line.

    The last line is `{"usage": …}`: what the work cost.
    """
    try:
        with metered() as meter:
            work(json.loads(Path(arguments[0]).read_bytes()))
    except MillraceError as error:
        _line({"error": str(error)})
        return USER_ERROR
    _line({"usage": meter.cost()})
    return 0


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Make `folder` hold exactly `files`, synced to disk; a reader sees all of them or none."""
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for name, content in files.items():
        with (partial / name).open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    shutil.rmtree(folder, ignore_errors=True)
    partial.replace(folder)


def to_json(value: Any) -> bytes:
    """`value` as JSON bytes that are the same for the same value."""
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def _line(fields: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()
