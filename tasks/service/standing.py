"""How the service stands: what its status page shows, from the tallies of the last minutes."""

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tasks.service.crew import Crew
from tasks.service.routes import Route
from tasks.service.tally import METRICS, REQUESTS, Key, Tally, quantile

STEP_SECONDS = 2.0
RECENT = 31  # tallies that are kept whole: a minute
POINTS = 300  # of the chart: ten minutes
PREDICTS = ("/predict", ":predict", "/infer", "completions")
BATCHES, QUEUE = "millrace_batch_duration_seconds", "millrace_queue_duration_seconds"


@dataclass
class History:
    """The tallies of the last minute, two seconds apart, and a point of the chart for each step of the last ten."""

    began: float = field(default_factory=time.time)
    _recent: deque[tuple[float, Tally]] = field(default_factory=lambda: deque(maxlen=RECENT))
    _points: deque[dict[str, float]] = field(default_factory=lambda: deque(maxlen=POINTS))

    async def keep(self, crew: Crew) -> None:
        """For ever."""
        while True:
            self.note(time.time(), crew.total())
            await asyncio.sleep(STEP_SECONDS)

    def note(self, at: float, tally: Tally) -> None:
        """What had been counted at a time."""
        if self._recent:
            before, older = self._recent[-1]
            self._points.append({"at": at, **_traffic(tally, older, max(at - before, 1e-3))})
        self._recent.append((at, tally))

    def status(
        self, routes: Mapping[str, Route], total: Tally, trials: Mapping[str, Any], workers: int
    ) -> dict[str, Any]:
        """Plain JSON. Rates, milliseconds and what is `recent` are of the last `seconds`, about a minute; counts are of all time."""
        now = time.time()
        then, before = self._recent[0] if self._recent else (self.began, Tally())
        spent = _Spent(total, before, max(now - then, 1e-3))
        lost = dict(total.matching("millrace_workers_lost"))
        return {
            "time": now,
            "began": self.began,
            "workers": workers,
            "workers_lost": lost.get((), 0),
            "memory_bytes": dict(total.matching("process_resident_memory_bytes")).get((), 0),
            "seconds": spent.seconds,
            "requests": {
                "total": sum(_latency(total)[:-1]),
                "failed": _failures(total),
                **_traffic(total, before, spent.seconds),
            },
            "models": [spent.model(route, trials.get(route.model)) for route in routes.values()],
            "errors": spent.errors(),
            "series": {name: [point[name] for point in self._points] for name in ("at", *_traffic(total, total, 1))},
        }


class _Spent:
    """What was counted in all and between two tallies, grouped once: there may be many models."""

    def __init__(self, total: Tally, before: Tally, seconds: float) -> None:
        self.seconds, self._total, self._before = seconds, total, before
        self._counts, self._earlier = _grouped(total), _grouped(before)

    def model(self, route: Route, trial: Any) -> dict[str, Any]:
        """One model with the versions that its aliases point at."""
        aliases = {route.alias or "version": route.champion, "canary": route.canary, "shadow": route.shadow}
        swaps = self._counts.get(("millrace_swaps", route.model), {})
        return {
            "model": route.model,
            "queued_rows": self._counts.get(("millrace_queue_rows", route.model), {}).get((), 0),
            "queue_ms_p99": self._milliseconds(QUEUE, route.model, route.champion, 0.99),
            "refused_swaps": swaps.get(("refused",), 0),
            "captured": _by_outcome(self._counts, "millrace_captured", route.model),
            "versions": [self._version(route, role, number) for role, number in aliases.items() if number],
            "trial": trial,
        }

    def errors(self) -> list[dict[str, Any]]:
        """By kind, the most frequent first."""
        before = dict(self._before.matching("millrace_errors"))
        found = [
            {"kind": kind[0], "total": count, "recent": max(0.0, count - before.get(kind, 0))}
            for kind, count in self._total.matching("millrace_errors")
        ]
        return sorted(found, key=lambda error: -error["total"])

    def _version(self, route: Route, role: str, number: int) -> dict[str, Any]:
        name, version = route.model, str(number)
        answers = _by_outcome(self._counts, "millrace_answers", name, version)
        earlier = _by_outcome(self._earlier, "millrace_answers", name, version)
        shares = {"canary": route.share, "shadow": route.shadow_share}
        return {
            "version": number,
            "role": role,
            "share": shares.get(role, 1.0 - route.share),
            "answers": answers.get("ok", 0),
            "failed": answers.get("failed", 0),
            "per_second": max(0.0, answers.get("ok", 0) - earlier.get("ok", 0)) / self.seconds,
            "forward_ms_p50": self._milliseconds(BATCHES, name, number, 0.5),
            "forward_ms_p99": self._milliseconds(BATCHES, name, number, 0.99),
            "memory_bytes": self._counts.get(("millrace_model_memory_bytes", name), {}).get((version,), 0),
            "compared": _by_outcome(self._counts, "millrace_shadow", name, version),
            "feedback": _by_outcome(self._counts, "millrace_feedback", name, version),
        }

    def _milliseconds(self, metric: str, name: str, number: int, share: float) -> float | None:
        """A recent quantile, None of nothing."""
        key = metric, name, str(number)
        none = _none(key)
        counts = _minus(self._total.histograms.get(key, none), self._before.histograms.get(key, none))
        return 1e3 * quantile(metric, counts, share) if any(counts[:-1]) else None


def _grouped(tally: Tally) -> dict[tuple[str, str], dict[Key, float]]:
    """Numbers by metric and model, then by their other labels."""
    found: dict[tuple[str, str], dict[Key, float]] = {}
    for (name, *labels), value in tally.numbers.items():
        if labels:
            found.setdefault((name, labels[0]), {})[tuple(labels[1:])] = value
    return found


def _by_outcome(
    counts: Mapping[tuple[str, str], Mapping[Key, float]], metric: str, model: str, *first: str
) -> dict[str, float]:
    """Sums by a counter's last label, of those whose next labels are `first`."""
    sums: dict[str, float] = {}
    for labels, value in counts.get((metric, model), {}).items():
        if labels[: len(first)] == first:
            sums[labels[-1]] = sums.get(labels[-1], 0) + value
    return sums


def _traffic(tally: Tally, older: Tally, seconds: float) -> dict[str, float]:
    """Requests and failures a second between two tallies, and milliseconds at p50 and p99."""
    counts = _minus(_latency(tally), _latency(older))
    return {
        "per_second": round(sum(counts[:-1]) / seconds, 3),
        "failed_per_second": round(max(0.0, _failures(tally) - _failures(older)) / seconds, 3),
        "p50_ms": round(1e3 * quantile(REQUESTS, counts, 0.5), 3),
        "p99_ms": round(1e3 * quantile(REQUESTS, counts, 0.99), 3),
    }


def _latency(tally: Tally) -> list[float]:
    """The histogram of all requests for predictions."""
    predicted = (counts for key, counts in tally.histograms.items() if key[0] == REQUESTS and key[2].endswith(PREDICTS))
    return [sum(column) for column in zip(_none((REQUESTS,)), *predicted, strict=True)]


def _failures(tally: Tally) -> float:
    """Requests for predictions that the service did not answer by its own fault."""
    return sum(
        sum(counts[:-1])
        for key, counts in tally.histograms.items()
        if key[0] == REQUESTS and key[2].endswith(PREDICTS) and key[3].startswith("5")
    )


def _none(key: Key) -> list[float]:
    return [0.0] * (len(METRICS[key[0]].buckets) + 2)


def _minus(a: list[float], b: list[float]) -> list[float]:
    """Never below nothing: a worker may have been lost between the two."""
    return [max(0.0, x - y) for x, y in zip(a, b, strict=True)]
