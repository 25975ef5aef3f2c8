"""Locks between processes that share a data root: two runs never do one step side by side in the same work folder.

They end with the process that holds them. Between machines there are none: there the first commit wins.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from storage.errors import ConfigError
from storage.root import work_folder

_POLL_SECONDS = 0.2


@contextmanager
def hold(name: str, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock `name` of this data root; where another process has it, `waiting` is called once, and its end awaited."""
    path = work_folder("locks") / name
    file, told = _taken(path), False
    while file is None:
        time.sleep(_POLL_SECONDS)
        file = _taken(path)
        if file is None and not told:  # it was no sweep that only looked whether somebody holds it
            waiting()
            told = True
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # while it is held: who waits for it finds it gone, and makes a new one
        file.close()


def _taken(path: Path) -> IO[str] | None:
    """The file, locked; None where another has it."""
    file = path.open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(file.fileno()), path.stat()):
            return file
    except (BlockingIOError, FileNotFoundError):  # the second: its holder has just let it go
        pass
    except OSError as error:
        file.close()
        raise ConfigError(
            f"lock {file.name}: the file system refuses locks ({error.strerror}); set MILLRACE_ROOT to a folder on a local disk"
        ) from None
    file.close()
    return None
