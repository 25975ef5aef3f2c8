"""What is quicker to remember than to find out again, in a file of the data root. Losing it, or damage to it, costs time and nothing else."""

import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from storage.root import data_root


def recall(name: str) -> dict[str, Any]:
    """What was kept under this name; empty where there is nothing, or nothing whole."""
    with suppress(OSError, ValueError):
        digest, _, content = _file(name).read_bytes().partition(b"\n")
        if hashlib.sha256(content).hexdigest().encode() == digest:
            return json.loads(content)
    return {}


def keep(name: str, value: dict[str, Any]) -> None:
    """Keep plain JSON values for `recall`, whole or not at all; nothing where there is no data root, or none to write to."""
    if not data_root().is_dir():
        return
    content = json.dumps(value, separators=(",", ":")).encode()
    file = _file(name)
    partial = file.with_suffix(".partial")  # always the same: two that write at once make what has no right digest
    with suppress(OSError):
        file.parent.mkdir(exist_ok=True)
        partial.write_bytes(hashlib.sha256(content).hexdigest().encode() + b"\n" + content)
        partial.replace(file)


def _file(name: str) -> Path:
    return data_root() / "memos" / f"{name}.json"
