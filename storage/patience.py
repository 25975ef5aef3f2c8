"""How long what does not answer is waited for, by all of this process together: tries at many places would else add up to an hour.

A place (a store's URL, a bucket) is silent from the start of the first request that found no good answer, until one finds it. Who is told
that patience is over gives up for good; for a while after such a failure nobody even asks.
"""

import time
from dataclasses import dataclass

PATIENCE_SECONDS = 40.0
FIRST_SECONDS = 10.0  # for a place that has never answered: as a rule its name is wrong
REST_SECONDS = 20.0


@dataclass
class _Place:
    answered: bool = False
    silent_since: float | None = None
    failed: float = 0.0
    reason: str = ""


_places: dict[str, _Place] = {}


def answered(place: str) -> None:
    """It answered, whatever it said."""
    known = _places.setdefault(place, _Place())
    known.answered, known.silent_since = True, None


def unanswered(place: str, began: float, reason: str) -> None:
    """A request that began then (`time.monotonic`) found no good answer."""
    known = _places.setdefault(place, _Place())
    known.silent_since = began if known.silent_since is None else min(began, known.silent_since)
    known.failed, known.reason = time.monotonic(), reason


def silence_seconds(place: str) -> float:
    """How long it has been silent; 0 where it answered last, or was never asked."""
    known = _places.get(place)
    return time.monotonic() - known.silent_since if known and known.silent_since is not None else 0.0


def patience_seconds(place: str) -> float:
    """How long its silence is borne."""
    known = _places.get(place)
    return PATIENCE_SECONDS if known and known.answered else FIRST_SECONDS


def is_over(place: str) -> bool:
    """Whether it answered once, and has been silent for longer than is borne."""
    known = _places.get(place)
    return bool(known and known.answered) and silence_seconds(place) >= PATIENCE_SECONDS


def why_not_asked(place: str) -> str:
    """Why it is not asked just now: the reason of a failure that has just been; empty: ask."""
    known = _places.get(place)
    if known is None or not is_over(place) or time.monotonic() - known.failed > REST_SECONDS:
        return ""
    return known.reason
