"""Locks between processes that share a data root: two runs never do one step side by side in the same work folder.

They end with the process that holds them. Between machines there are none: there the first commit wins.
"""

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO

from storage.errors import ConfigError
from storage.root import work_folder

_POLL_SECONDS = 0.2


@contextmanager
def hold(name: str, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock `name` of this data root; where another process has it, `waiting` is called once, and its end awaited."""
    with (work_folder("locks") / name).open("w") as file:
        if not _taken(file):
            waiting()
            while not _taken(file):
                time.sleep(_POLL_SECONDS)
        yield


def _taken(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise ConfigError(
            f"lock {file.name}: the file system refuses locks ({error.strerror}); set MILLRACE_ROOT to a folder on a local disk"
        ) from None
    return True
