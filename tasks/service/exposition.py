"""Tallies in Prometheus' text format."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from tasks.service.tally import METRICS, Tally

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def exposed(tally: Tally) -> bytes:
    """All metrics that have a value."""
    registry = CollectorRegistry()
    registry.register(_Once(tally))
    return generate_latest(registry)


class _Once(Collector):
    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def collect(self) -> Iterator[Metric]:
        for name, metric in METRICS.items():
            if metric.buckets:
                family = HistogramMetricFamily(name, metric.help, labels=metric.labels)
                for key, counts in self._tally.histograms.items():
                    if key[0] == name:
                        family.add_metric(key[1:], _cumulative(metric.buckets, counts), counts[-1])
                yield family
            else:
                kind = GaugeMetricFamily if metric.gauge else CounterMetricFamily
                numbers = kind(name, metric.help, labels=metric.labels)
                for labels, value in self._tally.matching(name):
                    numbers.add_metric(labels, value)
                yield numbers


def _cumulative(buckets: tuple[float, ...], counts: list[float]) -> list[tuple[str, float]]:
    total, pairs = 0.0, []
    for bound, count in zip((*map(str, buckets), "+Inf"), counts, strict=False):
        total += count
        pairs.append((bound, total))
    return pairs
