"""Locks between processes that share a data root: they save work, and end with the process that holds them."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from storage.root import work_folder


@contextmanager
def hold(name: str) -> Iterator[None]:
    """Hold the lock `name` of this data root; waits for whoever has it. The system takes it back when a process dies."""
    with (work_folder("locks") / name).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
