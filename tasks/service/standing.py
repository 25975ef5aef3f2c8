"""How the service stands: what its status page shows, from the tallies of the last minutes."""

import asyncio
import itertools
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tasks.service.crew import Crew
from tasks.service.routes import Route
from tasks.service.tally import METRICS, REQUESTS, Key, Tally, quantile

STEP_SECONDS = 2.0
KEPT = 300  # steps: ten minutes
PREDICTS = ("/predict", ":predict", "/infer", "completions")


@dataclass
class History:
    """Tallies of the last ten minutes, two seconds apart."""

    _kept: deque[tuple[float, Tally]] = field(default_factory=lambda: deque(maxlen=KEPT))
    began: float = field(default_factory=time.time)

    async def keep(self, crew: Crew) -> None:
        """For ever."""
        while True:
            self._kept.append((time.time(), crew.total()))
            await asyncio.sleep(STEP_SECONDS)

    def status(
        self, routes: Mapping[str, Route], total: Tally, trials: Mapping[str, Any], workers: int
    ) -> dict[str, Any]:
        """Plain JSON: models and their versions, traffic, latency, errors, trials."""
        then, before = self._kept[0] if self._kept else (self.began, Tally())
        for at, tally in reversed(self._kept):
            if time.time() - at >= 60:
                then, before = at, tally
                break
        seconds = max(time.time() - then, 1e-3)
        return {
            "time": time.time(),
            "began": self.began,
            "workers": workers,
            "seconds": seconds,
            "requests": _requests(total, before, seconds),
            "models": [_model(route, total, before, seconds, trials.get(route.model)) for route in routes.values()],
            "errors": {labels[0]: value for labels, value in total.matching("millrace_errors")},
            "series": self._series(),
            "memory_bytes": dict(total.matching("process_resident_memory_bytes")).get((), 0),
        }

    def _series(self) -> list[dict[str, float]]:
        """A point each step: requests/s, failures/s and milliseconds at p50 and p99."""
        points = []
        kept = list(self._kept)
        for (before, older), (at, newer) in itertools.pairwise(kept):
            counts = _minus(_latency(newer), _latency(older))
            failed = _failures(newer) - _failures(older)
            points.append(
                {
                    "at": at,
                    "per_second": sum(counts[:-1]) / (at - before),
                    "failed_per_second": failed / (at - before),
                    "p50_ms": 1e3 * quantile(REQUESTS, counts, 0.5),
                    "p99_ms": 1e3 * quantile(REQUESTS, counts, 0.99),
                }
            )
        return points


def _requests(total: Tally, before: Tally, seconds: float) -> dict[str, Any]:
    counts = _minus(_latency(total), _latency(before))
    return {
        "total": sum(_latency(total)[:-1]),
        "per_second": sum(counts[:-1]) / seconds,
        "failed": _failures(total),
        "p50_ms": 1e3 * quantile(REQUESTS, counts, 0.5),
        "p99_ms": 1e3 * quantile(REQUESTS, counts, 0.99),
    }


def _model(route: Route, total: Tally, before: Tally, seconds: float, trial: Any) -> dict[str, Any]:
    pairs = {route.alias or "version": route.champion, "canary": route.canary, "shadow": route.shadow}
    versions = [_version(route.model, number, role, total, before, seconds) for role, number in pairs.items() if number]
    queued = dict(total.matching("millrace_queue_rows")).get((route.model,), 0)
    return {"model": route.model, "share": route.share, "queued_rows": queued, "versions": versions, "trial": trial}


def _version(name: str, number: int, role: str, total: Tally, before: Tally, seconds: float) -> dict[str, Any]:
    def answers(tally: Tally, outcome: str) -> float:
        return sum(v for k, v in tally.matching("millrace_answers") if k[:2] == (name, str(number)) and k[3] == outcome)

    key = "millrace_batch_duration_seconds", name, str(number)
    counts = _minus(total.histograms.get(key, _none(key)), before.histograms.get(key, _none(key)))
    compared = {k[2]: v for k, v in total.matching("millrace_shadow") if k[:2] == (name, str(number))}
    return {
        "version": number,
        "role": role,
        "answers": answers(total, "ok"),
        "failed": answers(total, "failed"),
        "per_second": (answers(total, "ok") - answers(before, "ok")) / seconds,
        "forward_ms_p50": 1e3 * quantile(key[0], counts, 0.5),
        "compared": compared,
    }


def _latency(tally: Tally) -> list[float]:
    """The histogram of all requests for predictions."""
    found = _none((REQUESTS,))
    for key, counts in tally.histograms.items():
        if key[0] == REQUESTS and key[2].endswith(PREDICTS):
            found = [a + b for a, b in zip(found, counts, strict=True)]
    return found


def _failures(tally: Tally) -> float:
    return sum(
        sum(counts[:-1]) for key, counts in tally.histograms.items() if key[0] == REQUESTS and key[3].startswith("5")
    )


def _none(key: Key) -> list[float]:
    return [0.0] * (len(METRICS[key[0]].buckets) + 2)


def _minus(a: list[float], b: list[float]) -> list[float]:
    """Never below nothing: a worker may have been lost between the two."""
    return [max(0.0, x - y) for x, y in zip(a, b, strict=True)]
