"""Downloads: blobs of stores in a cloud, kept in the data root to be read as files, and whole arrays put together of blobs. They can be
had again, so old ones may go.

Who has been handed such a file may open it much later: so a process that uses downloads holds a shared lock to its end, and none goes
while another process holds one.
"""

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from storage.measuring import forget_missing
from storage.root import data_root
from storage.tally import Tally

_KEPT = ("blobs/*/*", "features/*/*/*")
_entering = threading.Lock()
_present: tuple[Path, int, int] | None = None  # the folder, this process, and its lock's descriptor


def downloads_folder() -> Path:
    """Where they lie; from now on this process counts as one that uses them."""
    folder = data_root() / "cache"
    with suppress(OSError):  # a folder that may only be read is nobody's to clean
        _enter(folder)
    return folder


def collect_downloads(grace_seconds: float, delete: bool) -> Tally | None:
    """What nobody has read for so long; with `delete`, it is removed. None where another process uses downloads now."""
    folder, tally = data_root() / "cache", Tally()
    if not folder.is_dir():
        return tally
    with _alone(folder) as alone:
        if not alone:
            return None
        old = [path for kept in _KEPT for path in folder.glob(kept) if _rests(path, grace_seconds)]
        tally.count("downloads", ((str(path.relative_to(folder.parent)), path.stat().st_size) for path in old))
        if delete:
            for path in old:
                path.unlink(missing_ok=True)
                with suppress(OSError):  # others are in it
                    path.parent.rmdir()
                    path.parent.parent.rmdir()
            forget_missing()
    return tally


def _rests(path: Path, seconds: float) -> bool:
    told = path.stat()
    return time.time() - max(told.st_atime, told.st_mtime) > seconds


def _enter(folder: Path) -> int:
    """The descriptor of this process's shared lock, taken once for each folder in turn; it waits for who is cleaning."""
    global _present
    with _entering:
        if _present is None or _present[:2] != (folder, os.getpid()):
            if _present and _present[1] == os.getpid():
                os.close(_present[2])
            folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(folder / "in-use", os.O_RDWR | os.O_CREAT, 0o644)
            with suppress(OSError):  # no locks here: then nobody can be alone either
                fcntl.flock(descriptor, fcntl.LOCK_SH)
            _present = folder, os.getpid(), descriptor
        return _present[2]


@contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    """Whether no other process uses downloads; while the block lasts none begins to."""
    descriptor = _enter(folder)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        alone = True
    except OSError:
        alone = False
    try:
        yield alone
    finally:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_SH)
