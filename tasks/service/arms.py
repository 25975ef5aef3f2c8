"""What the supervisor's trial of a canary is told: how often each version answered, failed, was slow, and was wrong.

A batch is slow by a measure that does not depend on its size: its seconds over what the champion's forward of as many rows was measured to
take when it was warmed, beside the median of that for the champion's latest batches.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from tasks.service.batcher import Cost
from tasks.service.outcomes import ANSWERS, BATCHES, FAILED, LABELS, NONE, SLOW, WRONG
from tasks.service.routes import Route

LATEST, FEWEST = 101, 11


class Usual:
    """The median of the latest values; None before there are enough."""

    def __init__(self) -> None:
        self._values: deque[float] = deque(maxlen=LATEST)
        self._median: float | None = None

    def note(self, value: float) -> None:
        """Take one more into account."""
        self._values.append(value)
        if len(self._values) >= FEWEST:
            self._median = median(self._values)

    @property
    def value(self) -> float | None:
        return self._median


@dataclass
class Arms:
    """Counts by model and version since they were last taken; only of models that have a canary."""

    _tried: dict[str, Route] = field(default_factory=dict)
    _costs: dict[tuple[str, int], Cost] = field(default_factory=dict)
    _usual: dict[str, Usual] = field(default_factory=dict)
    _usual_miss: dict[str, Usual] = field(default_factory=dict)
    _counts: dict[tuple[str, int], list[int]] = field(default_factory=dict)

    def know(self, name: str, number: int, cost: Cost) -> None:
        """What a version's forward costs."""
        self._costs[name, number] = cost

    def follow(self, routes: Mapping[str, Route]) -> None:
        """Count for those of the routes that have a canary; another canary, or another champion, begins anew."""
        tried = {name: route for name, route in routes.items() if route.canary}
        for name in [name for name in self._tried if tried.get(name) != self._tried[name]]:
            self._usual.pop(name, None)
            self._usual_miss.pop(name, None)
        self._tried = tried

    def note_answer(self, name: str, number: int, failed: bool) -> None:
        """A request was answered, or the model failed on it."""
        if name in self._tried:
            counts = self._of(name, number)
            counts[ANSWERS] += 1
            counts[FAILED] += failed

    def note_batch(self, name: str, number: int, rows: int, seconds: float) -> None:
        """A forward was computed."""
        if (route := self._tried.get(name)) and (cost := self._costs.get((name, route.champion))):
            usual = self._usual.setdefault(name, Usual())
            measure = seconds / max(cost.of(rows), 1e-9)
            if usual.value is not None:
                counts = self._of(name, number)
                counts[BATCHES] += 1
                counts[SLOW] += measure > route.slower * usual.value
            if number == route.champion:
                usual.note(measure)

    def note_label(self, name: str, number: int, prediction: Any, label: Any, trial: str | None) -> bool | None:
        """Whether an answer was wrong: another class, or a number further off than the champion's usually are; None where unknown.

        It counts in the trial in which it was given: that of the canary with the salt `trial`.
        """
        route = self._tried.get(name)
        if route and route.salt != trial:
            route = None
        if isinstance(prediction, str) or route is None:
            wrong = prediction != label if isinstance(prediction, str) else None
        else:
            usual, miss = self._usual_miss.setdefault(name, Usual()), abs(float(prediction) - float(label))
            wrong = None if usual.value is None else miss > usual.value
            if number == route.champion:
                usual.note(miss)
        if route is not None and wrong is not None:
            counts = self._of(name, number)
            counts[LABELS] += 1
            counts[WRONG] += wrong
        return wrong

    def taken(self) -> list[Any]:
        """`[model, version, counts]` since the last time."""
        counts, self._counts = self._counts, {}
        return [[name, number, numbers] for (name, number), numbers in counts.items()]

    def _of(self, name: str, number: int) -> list[int]:
        return self._counts.setdefault((name, number), list(NONE))
