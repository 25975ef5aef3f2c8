"""Captured objects go when their hour is older than they are to be kept."""

from datetime import UTC, datetime, timedelta

from storage.clock import store_now
from storage.leftovers import find_leftovers
from storage.objects import ObjectStore
from tasks.captures.places import FOLDER, HOUR, captured, unknown_labels

ABANDONED_SECONDS = 600.0  # a write takes seconds: what is older was left by a killed writer


def expire(store: ObjectStore, keep_days: float, now: float) -> int:
    """Delete what was captured more than `keep_days` before `now` (seconds since the epoch), 0 for nothing; how many objects went."""
    if not keep_days:
        return 0
    oldest = (datetime.fromtimestamp(now, UTC) - timedelta(days=keep_days)).strftime(HOUR)
    old = [one for found in (captured(store), unknown_labels(store)) for one in found if one.place.hour < oldest]
    store.delete_many([one.key for one in old])
    for folder in {one.place.folder for one in old}:
        store.remove_empty(folder)
    return len(old)


def remove_abandoned(store: ObjectStore) -> None:
    """Remove what killed writers left: no listing shows it, and it holds rows."""
    for leftover in find_leftovers(store, store_now(store) - ABANDONED_SECONDS):
        if leftover.key.startswith(f"{FOLDER}/"):
            leftover.remove()
