"""What time it is by a store's own clock: ages and leases are told by it, however wrong this machine's is."""

import time
import uuid
from contextlib import suppress

from storage.errors import ConfigError, MillraceError
from storage.objects import ObjectStore

_LEARNT_AGAIN_SECONDS = 600.0
_learnt: dict[str, tuple[float, float]] = {}  # by URL: the store's time, and ours at that moment


def elapsed() -> float:
    """Seconds that pass at an even rate, also while the machine sleeps, whoever sets its clock."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def store_now(store: ObjectStore) -> float:
    """Seconds since the epoch by the store's clock, at most a second or two behind it. This machine's, where nothing may be written."""
    then, at = _learnt.get(store.url, (0.0, float("-inf")))
    if elapsed() - at > _LEARNT_AGAIN_SECONDS:
        then, at = _learnt[store.url] = _learn(
            store
        )  # by two threads at once, perhaps: nobody waits for another's dead store
    return then + elapsed() - at


def _learn(store: ObjectStore) -> tuple[float, float]:
    key = f"probes/{uuid.uuid4().hex}"
    try:
        store.put_if_absent(key, b"what time is it", lasting=False)
    except ConfigError:  # only reading is allowed
        return time.time(), elapsed()
    at, told = elapsed(), store.head(key)
    with suppress(MillraceError):
        store.delete(key)
    return (told.written if told else time.time()), at
