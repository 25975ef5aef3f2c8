"""What nobody needs in this machine's data root, beside what `storage.root.sweep` removes at each run: downloads that can be had again, …

Nothing is touched while another process lives in the data root, and nothing that is younger than the grace period.
"""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from storage.measuring import forget_missing
from storage.root import alone, data_root
from storage.tally import Tally

# By kind: where, and which entries.
_PLACES = {
    "workers' folders": ("work/dask", "*/*"),
    "Prefect's mirrors of results": ("prefect/storage", "*"),
    "downloads": ("cache/blobs", "*/*"),
}


@dataclass
class Rubbish:
    """`alone`: whether no other process lives in the data root; if one does, nothing was looked for."""

    alone: bool
    tally: Tally = field(default_factory=Tally)


def collect_rubbish(grace_seconds: float, delete: bool) -> Rubbish:
    """Find what is older than the grace period; with `delete`, remove it."""
    if not data_root().is_dir():
        return Rubbish(True)
    with alone() as nobody_else:
        rubbish = Rubbish(nobody_else)
        if nobody_else:
            for kind, place in _PLACES.items():
                found = list(_found(*place, grace_seconds))
                rubbish.tally.count(kind, ((str(path.relative_to(data_root())), size) for path, size in found))
                if delete:
                    for path, _ in found:
                        _remove(path)
            if delete:
                forget_missing()
    return rubbish


def _found(folder: str, pattern: str, grace_seconds: float) -> Iterator[tuple[Path, int]]:
    before = time.time() - grace_seconds
    for path in sorted((data_root() / folder).glob(pattern)):
        newest, size = _measure(path)
        if newest < before:
            yield path, size


def _measure(path: Path) -> tuple[float, int]:
    """When a file, or anything in a folder, was last read or written, and its bytes. What goes away meanwhile counts as young."""
    try:
        told = [
            entry.lstat() for entry in (path, *(path.rglob("*") if path.is_dir() and not path.is_symlink() else ()))
        ]
    except FileNotFoundError:
        return float("inf"), 0
    is_file = not path.is_dir()  # a look into a folder changes its atime
    return max(max(t.st_mtime, t.st_atime if is_file else 0) for t in told), sum(t.st_size for t in told)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            os.unlink(path)
