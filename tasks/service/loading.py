"""From a version's number to a model that may serve: fetched, its signature and digests checked, warmed, its golden requests answered."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storage.blobs import read_blob
from storage.objects import ObjectStore
from storage.registry import Registry, Version
from storage.sealed_blobs import forget_copies
from tasks.inference.golden import check_golden
from tasks.inference.releases import load_version
from tasks.inference.runtime import Runtime
from tasks.service.batcher import Cost
from tasks.service.memory import resident_bytes

GOLDEN_TOLERANCE = 0.02  # int8 kernels differ between processors; a damaged model is far off
TRIES = 5


@dataclass(frozen=True)
class Loaded:
    """A version that has passed its checks. `memory_bytes`: what it took, about."""

    version: Version
    runtime: Runtime
    cost: Cost
    memory_bytes: int


@dataclass(frozen=True)
class Loader:
    """Where versions come from."""

    store: ObjectStore
    registry: Registry

    def load(self, name: str, number: int) -> Loaded:
        """Fetch, verify, warm and try a version; an error of storage's tree when it must not serve. Nothing decrypted stays in a file."""
        try:
            return self._load(name, number)
        finally:
            forget_copies()

    def _load(self, name: str, number: int) -> Loaded:
        before = resident_bytes()
        version = self.registry.find(name, number)
        runtime, manifest = load_version(self.store, self.registry, name, version)
        golden = json.loads(read_blob(self.store, manifest.files["golden.json"]))
        check_golden(runtime, golden, GOLDEN_TOLERANCE)
        cost = measure(runtime, golden["items"])
        stored = sum(blob.size for file, blob in manifest.files.items() if Path(file).suffix == ".onnx")
        return Loaded(version, runtime, cost, max(stored, resident_bytes() - before))


def measure(runtime: Runtime, items: Sequence[Any]) -> Cost:
    """What a forward costs from parsed columns to predictions, by the best of a few tries at 1 and at 16 rows."""
    one, many = _seconds(runtime, items, 1), _seconds(runtime, items, 16)
    row = max(0.0, (many - one) / 15)
    return Cost(max(0.0, one - row), row)


def _seconds(runtime: Runtime, items: Sequence[Any], rows: int) -> float:
    columns = runtime.parse([items[i % len(items)] for i in range(rows)])
    best = float("inf")
    for _ in range(TRIES):
        started = time.perf_counter()
        runtime.predict(columns)
        best = min(best, time.perf_counter() - started)
    return best
