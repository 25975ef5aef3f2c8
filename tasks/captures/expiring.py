"""Captured objects go when their hour is older than they are to be kept."""

from datetime import UTC, datetime, timedelta

from storage.objects import ObjectStore
from tasks.captures.places import HOUR, captured, unknown_labels

DAY_SECONDS = 86_400.0


def expire(store: ObjectStore, keep_days: float, now: float, model: str = "") -> int:
    """Delete what was captured more than `keep_days` before `now` (seconds since the epoch), 0 for nothing; how many objects went.

    `model`: of this one only; labels that name no model stay then, as they may be another's.
    """
    if not keep_days or keep_days * DAY_SECONDS > now:  # before the epoch, and perhaps before all that a date can be
        return 0
    oldest = (datetime.fromtimestamp(now, UTC) - timedelta(days=keep_days)).strftime(HOUR)
    found = (*captured(store, model), *(() if model else unknown_labels(store)))
    old = [one for one in found if one.place.hour < oldest]
    store.delete_many([one.key for one in old])
    for folder in {one.place.folder for one in old}:
        store.remove_empty(folder)
    return len(old)
