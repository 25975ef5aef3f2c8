"""Captured objects go when their hour is older than they are to be kept."""

from datetime import UTC, datetime, timedelta

from storage.objects import ObjectStore
from tasks.captures.places import HOUR, captured, unknown_labels


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
