"""How much memory this process holds, looked at while something is being measured. Only what the system says; no estimate."""

import resource
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

_EVERY_SECONDS = 0.05  # a look costs some ten microseconds
_KIB = 1024
_MAXRSS_BYTES = 1 if sys.platform == "darwin" else _KIB  # the unit of ru_maxrss, see getrusage(2)
_STATUS = Path("/proc/self/status")

_watched: list[Callable[[int], None]] = []
_changed = threading.Condition()
_watcher: threading.Thread | None = None


def high_water_bytes() -> int | None:
    """The most this program ever held; None where the system does not tell."""
    return _told("VmHWM")


def resident_bytes() -> int | None:
    """What this process holds now; None where the system does not tell."""
    return _told("VmRSS")


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
    with _changed:
        _watched.append(look)
        if _watcher is None or not _watcher.is_alive():  # also in a fork, where no thread lives on
            _watcher = threading.Thread(target=_watch, name="memory", daemon=True)
            _watcher.start()
        _changed.notify()


def unwatch(look: Callable[[int], None]) -> None:
    """Tell `look` no more."""
    with _changed:
        _watched.remove(look)


def _watch() -> None:
    while True:
        with _changed:
            while not _watched:
                _changed.wait()
            if (held := resident_bytes()) is not None:
                for look in _watched:
                    look(held)
        time.sleep(_EVERY_SECONDS)


def _told(name: str) -> int | None:
    try:
        status = _STATUS.read_text()
    except OSError:
        return None
    return next((int(line.split()[1]) * _KIB for line in status.splitlines() if line.startswith(name)), None)
