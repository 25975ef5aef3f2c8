"""Captured rows with the right answers that were told later, by request id and item; and what there is of a model."""

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from storage.objects import ObjectStore
from tasks.captures.objects import ROWS, TIME, get_tables, pc
from tasks.captures.places import Captured, captured, hour_of, unknown_labels

EVERY = "*"  # model
JOINED = pa.schema([("version", pa.int32()), *ROWS, ("label", pa.string())])
Labels = dict[tuple[str, int], tuple[Any, Any]]  # by request id and item: when it was told, and what
_UNTOLD = (None, None)


@dataclass
class Summary:
    """Of one version. `hours`: with anything captured in them; `labelled`: rows whose right answer is known."""

    version: int
    hours: int = 0
    files: int = 0
    bytes: int = 0
    rows: int = 0
    labelled: int = 0
    first_hour: str = ""
    last_hour: str = ""
    seen: set[str] = field(default_factory=set, repr=False)

    def add(self, one: Captured, rows: int, labelled: int) -> None:
        """Count an object."""
        self.seen.add(one.place.hour)
        self.hours, self.first_hour, self.last_hour = len(self.seen), min(self.seen), max(self.seen)
        self.files, self.bytes = self.files + 1, self.bytes + one.listed.size
        self.rows, self.labelled = self.rows + rows, self.labelled + labelled

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {name: value for name, value in vars(self).items() if name != "seen"}


def summaries(store: ObjectStore, model: str, version: int | None = None, since: float = 0.0) -> list[Summary]:
    """What was captured of each version, or of one, in the hours from `since` on (seconds since the epoch); the latest version last."""
    labels, found = _labels(store, model), dict[int, Summary]()
    for one, table in get_tables(store, _requests(store, model, version, since), ["request_id", "item"]):
        number = one.place.version
        labelled = sum(pair in labels[number] for pair in _pairs(table))
        found.setdefault(number, Summary(number)).add(one, table.num_rows, labelled)
    return [found[number] for number in sorted(found)]


def export(store: ObjectStore, model: str, version: int | None, since: float, path: Path) -> int:
    """Write the captured rows from `since` on (seconds since the epoch) to one Parquet file, with labels; how many there are.

    `version`: of this one only. The file appears when it is whole.
    """
    made, rows = path.with_name(f".{path.name}.{os.getpid()}"), 0
    try:
        with pq.ParquetWriter(made, JOINED, compression="zstd") as writer:
            for table in _joined(store, model, version, since):
                writer.write_table(table)
                rows += table.num_rows
        os.replace(made, path)
    finally:
        made.unlink(missing_ok=True)
    return rows


def _joined(store: ObjectStore, model: str, wanted: int | None, since: float) -> Iterator[pa.Table]:
    labels, start = _labels(store, model), pa.scalar(datetime.fromtimestamp(since, UTC), TIME)
    for one, table in get_tables(store, _requests(store, model, wanted, since)):
        rows = table.filter(pc.greater_equal(table["time"], start))
        version = pa.array([one.place.version] * rows.num_rows, pa.int32())
        told = [labels[one.place.version].get(pair, _UNTOLD)[1] for pair in _pairs(rows)]
        yield pa.table([version, *rows.columns, pa.array(told, pa.string())], JOINED)


def _requests(store: ObjectStore, model: str, version: int | None, since: float) -> list[Captured]:
    oldest, known = hour_of(since), [one for one in captured(store, model) if not one.place.labels]
    return [one for one in known if one.place.hour >= oldest and version in (None, one.place.version)]


def _labels(store: ObjectStore, model: str) -> Mapping[int, Labels]:
    """By version; of several for one item the latest counts."""
    unknown, known = Labels(), dict[int, Labels]()
    for _, table in get_tables(store, list(unknown_labels(store))):
        _add(unknown, table.filter(pa.array([_may(text, model) for text in table["models"].to_pylist()], pa.bool_())))
    for one, table in get_tables(store, [one for one in captured(store, model) if one.place.labels]):
        _add(known.setdefault(one.place.version, dict(unknown)), table)
    return defaultdict(lambda: unknown, known)


def _add(labels: Labels, table: pa.Table) -> None:
    for pair, told in zip(
        _pairs(table), zip(table["time"].to_pylist(), table["label"].to_pylist(), strict=True), strict=True
    ):
        if pair not in labels or labels[pair][0] <= told[0]:
            labels[pair] = told


def _pairs(table: pa.Table) -> Iterator[tuple[str, int]]:
    return zip(table["request_id"].to_pylist(), table["item"].to_pylist(), strict=True)


def _may(models: str, model: str) -> bool:
    """Whether who told the labels may tell this model's."""
    allowed = orjson.loads(models)
    return model in allowed or EVERY in allowed
