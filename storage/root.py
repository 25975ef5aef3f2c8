"""Where this project keeps its things on this machine."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
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
    return folder


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
