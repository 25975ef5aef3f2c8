"""How much memory this process holds, looked at while something is being measured. Only what the system says; no estimate."""

import resource
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

_EVERY_SECONDS = 0.05  # a look costs some ten microseconds
_IDLE_LOOKS = 100  # in vain, before the watcher ends
_KIB = 1024
_MAXRSS_BYTES = 1 if sys.platform == "darwin" else _KIB  # the unit of ru_maxrss, see getrusage(2)
_STATUS = Path("/proc/self/status")

_watched: list[Callable[[int], None]] = []
_lock = threading.Lock()
_watcher: threading.Thread | None = None


def held_bytes() -> tuple[int | None, int | None]:
    """What this process holds now, and the most that this program ever held; None where the system does not tell."""
    try:
        status = _STATUS.read_text()
    except OSError:
        return None, None
    return _found("VmRSS:", status), _found("VmHWM:", status)


def childs_peak_bytes(used: resource.struct_rusage) -> int | None:
    """The most that a reaped child held; None where that cannot be known.

    On Linux a child starts with its parent's peak as its own (a child of 13 MB, of a parent that once held 628 MB, shows 628), so only
    what is above ours is surely the child's.
    """
    peak = used.ru_maxrss * _MAXRSS_BYTES
    inherited = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _MAXRSS_BYTES
    return peak if peak > inherited else None


def watch(look: Callable[[int], None]) -> None:
    """Tell `look` now and again what this process holds, until `unwatch`; from a thread of its own."""
    global _watcher
    with _lock:
        _watched.append(look)
        if _watcher is None or not _watcher.is_alive():  # also in a fork, where no thread lives on
            _watcher = threading.Thread(target=_watch, name="memory", daemon=True)
            _watcher.start()


def unwatch(look: Callable[[int], None]) -> None:
    """Tell `look` no more."""
    with _lock:
        _watched.remove(look)


def _watch() -> None:
    """Look until for a while there is nobody to tell."""
    global _watcher
    idle = 0
    while True:
        time.sleep(_EVERY_SECONDS)
        with _lock:
            idle = 0 if _watched else idle + 1
            if idle > _IDLE_LOOKS:
                _watcher = None
                return
            held = held_bytes()[0] if _watched else None
            for look in _watched if held else ():
                look(held or 0)


def _found(name: str, status: str) -> int | None:
    _, found, after = status.partition(name)
    return int(after.split(maxsplit=1)[0]) * _KIB if found else None
