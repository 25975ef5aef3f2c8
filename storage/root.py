"""Where this project keeps its things on this machine."""

import atexit
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from tempfile import mkdtemp

from storage.errors import ConfigError

UNFINISHED_SECONDS = 7 * 24 * 3600.0


def data_root() -> Path:
    """The data root as an absolute path: `MILLRACE_ROOT`, or `.millrace` in the current folder."""
    return Path(os.environ.get("MILLRACE_ROOT") or ".millrace").absolute()


def default_storage() -> str:
    """The store used when none is named: a folder in the data root, as an absolute path."""
    return str(data_root() / "store")


def work_folder(name: str) -> Path:
    """A folder for work in progress, made if absent; what lies there may be deleted between runs."""
    folder = data_root() / "work" / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def scratch_folder(name: str) -> Iterator[Path]:
    """A new empty folder in the data root, removed at the end; what a killed process left of such is removed now."""
    sweep()
    with _held(work_folder("scratch"), f"{name}-") as folder:
        yield folder


@contextmanager
def unfinished_folder(name: str) -> Iterator[Path]:
    """A folder for work that goes on where it was killed or failed: removed where the block ends well, else kept for a week of rest."""
    sweep()
    folder = work_folder(f"unfinished/{name}")
    os.utime(folder)  # taken up
    descriptor = _lock(folder)
    try:
        yield folder
        shutil.rmtree(folder)
    finally:
        os.close(descriptor)


def sweep() -> None:
    """Remove what killed processes left in the data root: folders and locks that nobody holds, unfinished work that rests for a week."""
    for parent in ("scratch", "tmp", "locks", "unfinished"):
        for path in work_folder(parent).iterdir():
            with suppress(OSError):  # somebody else is at it
                if parent != "unfinished" or _rests(path):
                    _remove_unheld(path)


def temporary_folder() -> Path:
    """This process's own folder for what nobody else may read: it goes with the process, or with the next sweep where that was killed."""
    return _temporary_folder(work_folder("tmp"))


def keep_inside() -> Path:
    """Make the data root, and have this process and its children put temporary files and caches there; the root.

    What is temporary goes with this process. Raises ConfigError where the root cannot be made.
    """
    root = data_root()
    try:
        sweep()
        os.environ |= {"MILLRACE_ROOT": str(root), "TMPDIR": str(temporary_folder())}
    except OSError as error:
        raise ConfigError(
            f"data root {root}: cannot be made: {error.strerror}; set MILLRACE_ROOT to a folder you may write to"
        ) from None
    os.environ.setdefault("XDG_CACHE_HOME", str(root / "cache"))
    return root


@lru_cache
def _temporary_folder(parent: Path) -> Path:
    """This process's own, for as long as it lives."""
    return _life.enter_context(_held(parent, ""))


_life = ExitStack()
end_temporary = _life.close  # for a process that ends without Python's own farewells
atexit.register(end_temporary)


@contextmanager
def _held(parent: Path, prefix: str) -> Iterator[Path]:
    """A new folder that is locked, which is how a sweep knows that it is in use: a lock ends with its process."""
    while True:
        folder = Path(mkdtemp(prefix=prefix, dir=parent))
        try:
            descriptor = _lock(folder)
        except FileNotFoundError:  # a sweep was faster than the lock
            continue
        if folder.exists():
            break
        os.close(descriptor)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def _lock(folder: Path) -> int:
    """A descriptor that holds the folder's lock, waiting for a sweep that has it; on a file system without locks it only is open."""
    descriptor = os.open(folder, os.O_RDONLY)
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


def _remove_unheld(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    finally:
        os.close(descriptor)


def _rests(folder: Path) -> bool:
    """Whether nothing in the folder has changed for so long that nobody will take it up."""
    latest = max(path.stat().st_mtime for path in (folder, *folder.iterdir()))
    return time.time() - latest > UNFINISHED_SECONDS
