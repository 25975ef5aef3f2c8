"""What a process counts: numbers and histograms by name and labels, cheap to add to, easy to add up over processes.

Names, units and buckets are OpenTelemetry's where it has some: https://opentelemetry.io/docs/specs/semconv/http/http-metrics/.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

# The buckets that OpenTelemetry advises for http.server.request.duration
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
SHORT_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, *SECONDS[:12])
ROWS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0)
ANSWER_SECONDS = (
    0.0005,
    0.001,
    0.0025,
    *SECONDS,
)  # with finer ones for small models: they answer within the first of OpenTelemetry's
REQUESTS = "http_server_request_duration_seconds"


@dataclass(frozen=True)
class Metric:
    """`buckets`: of a histogram; a `gauge` is added up over processes too, unless it is the `same` in all of them."""

    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    gauge: bool = False
    same: bool = False


METRICS = {
    REQUESTS: Metric(
        "From a request's headers to its answer",
        ("http_request_method", "http_route", "http_response_status_code"),
        ANSWER_SECONDS,
    ),
    "http_server_active_requests": Metric("Requests under way", gauge=True),
    "millrace_answers": Metric(
        "Requests that a version answered or failed on", ("model", "version", "role", "outcome")
    ),
    "millrace_queue_duration_seconds": Metric(
        "Time that requests waited for the model", ("model", "version"), SHORT_SECONDS
    ),
    "millrace_batch_duration_seconds": Metric(
        "Forwards, from parsed rows to predictions", ("model", "version"), SHORT_SECONDS
    ),
    "millrace_batch_rows": Metric("Rows in one forward", ("model", "version"), ROWS),
    "millrace_queue_rows": Metric("Rows waiting for the model", ("model",), gauge=True),
    "millrace_errors": Metric("Requests refused or failed, by kind", ("kind",)),
    "millrace_completion_tokens": Metric("Tokens written", ("model",)),
    "millrace_model_version": Metric("Version that an alias points at", ("model", "alias"), gauge=True, same=True),
    "millrace_model_memory_bytes": Metric("Memory of loaded versions", ("model", "version"), gauge=True),
    "millrace_swaps": Metric("Attempts to serve another version", ("model", "outcome")),
    "millrace_shadow": Metric(
        "Requests mirrored to a shadow, by how its answer compares", ("model", "version", "outcome")
    ),
    "millrace_captured": Metric(
        "Requests (and labels) taken for the capture; of these stored; and dropped, wherever there was no room",
        ("model", "outcome"),
    ),
    "millrace_feedback": Metric("Labels given for answers", ("model", "version", "outcome")),
    "millrace_workers_lost": Metric("Worker processes that ended by themselves"),
    "process_resident_memory_bytes": Metric("Memory of all processes of the service", gauge=True),
    "process_cpu_seconds": Metric("Processor time of all processes of the service"),
}
Key = tuple[str, ...]  # a name of METRICS and its labels' values


class Tally:
    """Numbers by name and labels. A histogram is the counts of its buckets, then of what is above them, then the sum."""

    def __init__(self) -> None:
        self.numbers: dict[Key, float] = {}
        self.histograms: dict[Key, list[float]] = {}

    def count(self, *key: str, by: float = 1) -> None:
        """Add to a counter."""
        self.numbers[key] = self.numbers.get(key, 0) + by

    def set(self, *key: str, to: float) -> None:
        """Set a gauge."""
        self.numbers[key] = to

    def observe(self, key: Key, value: float) -> None:
        """Add an observation to a histogram."""
        buckets = METRICS[key[0]].buckets
        counts = self.histograms.get(key)
        if counts is None:
            counts = self.histograms[key] = [0.0] * (len(buckets) + 2)
        counts[bisect_left(buckets, value)] += 1
        counts[-1] += value

    def add(self, other: "Tally") -> None:
        """Add another process's."""
        for key, value in other.numbers.items():
            self.numbers[key] = value if METRICS[key[0]].same else self.numbers.get(key, 0) + value
        for key, counts in other.histograms.items():
            mine = self.histograms.get(key)
            self.histograms[key] = list(counts) if mine is None else [a + b for a, b in zip(mine, counts, strict=True)]

    def without_gauges(self) -> "Tally":
        """What stays when the process is gone."""
        kept = Tally()
        kept.numbers = {key: value for key, value in self.numbers.items() if not METRICS[key[0]].gauge}
        kept.histograms = self.histograms
        return kept

    def packed(self) -> list[Any]:
        """For a channel."""
        return [list(self.numbers.items()), list(self.histograms.items())]

    @classmethod
    def unpacked(cls, packed: Iterable[Any]) -> "Tally":
        """What `packed` became on the other side."""
        tally, (numbers, histograms) = cls(), packed
        tally.numbers = {tuple(key): value for key, value in numbers}
        tally.histograms = {tuple(key): counts for key, counts in histograms}
        return tally

    def matching(self, name: str) -> Iterator[tuple[Key, float]]:
        """The labels and numbers of one counter or gauge."""
        return ((key[1:], value) for key, value in self.numbers.items() if key[0] == name)


def quantile(name: str, counts: list[float], share: float) -> float:
    """The value below which `share` of a histogram's observations lie, by linear interpolation in its bucket; 0 of none."""
    buckets, wanted, seen = METRICS[name].buckets, share * sum(counts[:-1]), 0.0
    for place, count in enumerate(counts[:-1]):
        if count and seen + count >= wanted:
            low = buckets[place - 1] if place else 0.0
            high = buckets[min(place, len(buckets) - 1)]
            return low + (high - low) * (wanted - seen) / count
        seen += count
    return 0.0
