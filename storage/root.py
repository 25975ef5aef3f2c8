"""Where this project keeps its things on this machine."""

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from storage.errors import ConfigError


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
    _be_present()
    return folder


def cache_folder() -> Path:
    """Where downloads are kept that can be had again."""
    with suppress(OSError):  # one that may only be read is nobody's to clean
        _be_present()
    return data_root() / "cache"


_entering = threading.Lock()
_present: tuple[Path, int, int] | None = None  # the data root, this process, and its shared lock's descriptor


def _be_present() -> int:
    """Let who cleans up know that a process lives in this data root, until it ends. The descriptor of its lock."""
    global _present
    with _entering:
        here = data_root(), os.getpid()
        if _present is None or _present[:2] != here:
            if _present and _present[1] == os.getpid():
                os.close(_present[2])
            (here[0] / "work").mkdir(parents=True, exist_ok=True)
            descriptor = os.open(here[0] / "work" / "present", os.O_RDWR | os.O_CREAT, 0o644)
            with suppress(OSError):  # no locks here: then nobody can be alone either
                fcntl.flock(descriptor, fcntl.LOCK_SH)
            _present = *here, descriptor
        return _present[2]


@contextmanager
def alone() -> Iterator[bool]:
    """Whether no other process lives in this data root; while the block lasts none begins to."""
    descriptor = _be_present()
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        nobody_else = True
    except OSError:
        nobody_else = False
    try:
        yield nobody_else
    finally:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_SH)


@contextmanager
def scratch_folder(name: str) -> Iterator[Path]:
    """A new empty folder in the data root, removed at the end."""
    with TemporaryDirectory(prefix=f"{name}-", dir=work_folder("scratch")) as folder:
        yield Path(folder)


def keep_inside() -> Path:
    """Make the data root, and have this process and its children put temporary files and caches there; the root.

    Raises ConfigError where it cannot be made.
    """
    root = data_root()
    try:
        scratch = work_folder("tmp")
    except OSError as error:
        raise ConfigError(
            f"data root {root}: cannot be made: {error.strerror}; set MILLRACE_ROOT to a folder you may write to"
        ) from None
    os.environ |= {"MILLRACE_ROOT": str(root), "TMPDIR": str(scratch)}
    os.environ.setdefault("XDG_CACHE_HOME", str(root / "cache"))
    return root
