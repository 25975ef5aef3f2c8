"""Times as people write them, and as they are shown."""

from datetime import UTC, datetime, time, timedelta

from storage.errors import ConfigError


def read_time(text: str, now: float) -> float:
    """The moment that `text` names, and `now`, in seconds since the epoch: ISO 8601 (2026-11-21T14:03), or a time of day, the last before `now`.

    Local time of this machine unless `text` names a zone. ConfigError for anything else, and for what lies in the future.
    """
    bare = _time_of_day(text)
    if bare is not None:
        return _last(bare, now)
    try:
        moment = datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        raise ConfigError(
            f"time {text!r}: wanted a date and a time such as 2026-11-21T14:03, with Z or +02:00 or else local, or a time such as 14:03"
        ) from None
    if moment > now:
        raise ConfigError(f"time {text!r}: {shown(moment)} lies in the future; it is {shown(now)} now")
    return moment


def shown(seconds: float) -> str:
    """Seconds since the epoch for people, to the second."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def stamp(seconds: float) -> str:
    """Seconds since the epoch as ISO 8601, to the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _last(bare: time, now: float) -> float:
    """Where the clocks are set back an hour comes twice, and the second is the last (fold: PEP 495)."""
    today = datetime.fromtimestamp(now, bare.tzinfo).date()
    days = (today, today - timedelta(days=1))
    moments = (datetime.combine(day, bare.replace(fold=fold)).timestamp() for day in days for fold in (0, 1))
    return max(moment for moment in moments if moment <= now)


def _time_of_day(text: str) -> time | None:
    try:
        return time.fromisoformat(text) if ":" in text else None
    except ValueError:
        return None
