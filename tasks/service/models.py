"""The model that serves: loaded, verified, warmed, its golden requests answered; replaced by swapping one reference."""

import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any

from storage.blobs import read_blob
from storage.entries import entry_key
from storage.objects import ObjectStore
from storage.registry import Registry, Version
from tasks.inference.golden import check_golden
from tasks.inference.predictor import Predictor
from tasks.inference.releases import find_version, load_version
from tasks.service.batcher import Batcher, Columns, Cost
from tasks.service.limits import Limits
from tasks.service.metrics import Metrics
from tasks.service.openapi import document

GOLDEN_TOLERANCE = 0.02  # int8 kernels differ between processors; a damaged model is far off
TRIES = 5


@dataclass(frozen=True)
class Loaded:
    """A version that has passed its checks, off the event loop."""

    version: Version
    predictor: Predictor
    cost: Cost


@dataclass(frozen=True)
class Served:
    """A loaded version with its batcher. A request keeps the one it began with until its answer."""

    name: str
    number: int
    predictor: Predictor
    batcher: Batcher
    openapi: dict[str, Any]
    created: int


@dataclass(frozen=True)
class Source:
    """Where versions of model `name` come from; `wanted` is an alias to follow, or the number of one version."""

    store: ObjectStore
    registry: Registry
    name: str
    wanted: str | int

    def find(self) -> Version:
        """The version wanted now; Untrusted when the log has been tampered with."""
        return find_version(self.registry, self.name, self.wanted)

    def length(self, known: int = 0) -> int:
        """Entries in the model's log, of which `known` are known: one small request when there are no more."""
        while self.store.size(entry_key(self.name, known)) is not None:
            known += 1
        return known

    def load(self, version: Version) -> Loaded:
        """Fetch, verify, warm and try `version`; an error of storage's tree when it must not serve."""
        predictor, manifest = load_version(self.store, self.registry, self.name, version)
        golden = json.loads(read_blob(self.store, manifest.files["golden.json"]))
        check_golden(predictor, golden, GOLDEN_TOLERANCE)
        return Loaded(version, predictor, _measure(predictor, golden["items"]))


@dataclass
class Models:
    """`current` is the one reference that a swap replaces; only the event loop's thread does so."""

    name: str
    limits: Limits
    metrics: Metrics
    executor: Executor
    with_keys: bool
    current: Served = field(init=False)

    def serve(self, loaded: Loaded) -> None:
        """Let requests from now on be answered by `loaded`; those under way end where they began."""
        predictor = loaded.predictor
        batcher = Batcher(
            _predictions(predictor), loaded.cost, self.executor, self.limits, self.metrics.batch_rows.observe
        )
        openapi = document(self.name, predictor.transforms.describe(), self.limits.items, self.with_keys)
        created = int(loaded.version.time)
        self.current = Served(self.name, loaded.version.number, predictor, batcher, openapi, created)
        self.metrics.version.labels(self.name).set(loaded.version.number)
        self.metrics.queued_rows.set_function(lambda: batcher.queued_rows)


def _predictions(predictor: Predictor) -> Callable[[Columns], list[Any]]:
    return lambda columns: predictor.predict(columns)[0]


def _measure(predictor: Predictor, items: Sequence[Any]) -> Cost:
    """What a forward costs from parsed columns to predictions, by the best of a few tries at 1 and at 16 rows."""
    one, many = _seconds(predictor, items, 1), _seconds(predictor, items, 16)
    row = max(0.0, (many - one) / 15)
    return Cost(max(0.0, one - row), row)


def _seconds(predictor: Predictor, items: Sequence[Any], rows: int) -> float:
    columns = predictor.parse([items[i % len(items)] for i in range(rows)])
    best = float("inf")
    for _ in range(TRIES):
        started = time.perf_counter()
        predictor.predict(columns)
        best = min(best, time.perf_counter() - started)
    return best
