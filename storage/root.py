"""Where this project keeps its things on this machine."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory


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
