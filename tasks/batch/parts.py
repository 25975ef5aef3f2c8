"""One part: rows read, sifted, predicted and stored. Runs on a Dask worker; its result is a few numbers. A accepted rows, K classes."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from storage.errors import SchemaError
from storage.objects import ObjectStore
from storage.shards import ShardResult
from tasks.batch.planning import Part
from tasks.batch.reading import Rows, read_rows
from tasks.frames.raw import FILE, ROW, Refusal, cut
from tasks.frames.shards import first_of_each_rule, put_table, quarantine_table
from tasks.inference.predictor import NO_ANSWER, Predictor
from tasks.inference.releases import load_artifact
from tasks.sections import DataSection
from tasks.sections.batch import ALL
from tasks.transforms.columns import RowRefused, Sifted

PREDICTION, PROBABILITY = "prediction", "probability_"
FORWARD_ROWS = 4096  # bounds the memory of features, which are larger than rows
ORIGIN = (FILE, ROW)


@dataclass(frozen=True)
class Wanted:
    """What is predicted and written. `artifact`: the model's digest; `keep`: as in BatchSection."""

    artifact: str
    keep: tuple[str, ...]
    probabilities: bool

    def columns(self, predictor: Predictor) -> tuple[str, ...] | None:
        """The columns that are read; None for all."""
        return None if self.keep == (ALL,) else tuple(dict.fromkeys((*predictor.transforms.input.columns, *self.keep)))


def predict_part(wanted: Wanted, section: DataSection, store: ObjectStore, part: Part) -> ShardResult:
    """Store predictions and quarantine of `part`; the same part gives the same bytes on any machine of one kind.

    Facts: `rows_in`, `rows_out`, refused rows by `rules` with `examples`. SchemaError where rows in are not rows out and refused together.
    """
    predictor = load_predictor(store.url, wanted.artifact)
    rows = read_rows(section, part, wanted.columns(predictor))
    sifted = _sift(predictor, rows)
    outputs_AK, answered_A = _answers(predictor, sifted)
    kept = sifted.rows[answered_A]
    table = _predictions(wanted, predictor, rows.table, kept, outputs_AK[answered_A])
    silent = [RowRefused(int(row), NO_ANSWER, "no answer") for row in sifted.rows[~answered_A]]
    refused = _refusals(predictor, rows, [*sifted.refused, *silent])
    rows_in = part.piece.stop - part.piece.start
    if table.num_rows + len(refused) != rows_in:
        raise SchemaError(
            f"{part.entries[0].name}: rows {part.piece.start + 1} to {part.piece.stop}: {rows_in} rows in, but {table.num_rows} predicted and "
            f"{len(refused)} refused; the file has changed since it was looked into: run again"
        )
    blobs = {"predictions": put_table(store, table)} | (
        {"quarantine": put_table(store, quarantine_table(refused))} if refused else {}
    )
    rules = dict(sorted(Counter(refusal.rule for refusal in refused).items()))
    facts = {"rows_in": rows_in, "rows_out": table.num_rows, "rules": rules, "examples": first_of_each_rule(refused)}
    return ShardResult(blobs, facts)


@lru_cache(maxsize=1)
def load_predictor(store_url: str, artifact: str) -> Predictor:
    """The verified model of that digest, kept for the next part."""
    return load_artifact(store_url, artifact)


def _sift(predictor: Predictor, rows: Rows) -> Sifted:
    transforms = predictor.transforms
    schemas = transforms.input.schema().get("properties", {})
    names = transforms.input.columns
    return transforms.sift({name: rows.values(name, schemas.get(name, {})) for name in names})


def _answers(predictor: Predictor, sifted: Sifted) -> tuple[np.ndarray, np.ndarray]:
    """(A, K) outputs of the accepted rows, and (A,) which of them are answers."""
    starts = range(0, max(1, len(sifted.rows)), FORWARD_ROWS)
    found = [predictor.answers(sifted.part(start, start + FORWARD_ROWS)) for start in starts]
    return np.concatenate([outputs for outputs, _ in found]), np.concatenate([answered for _, answered in found])


def _predictions(
    wanted: Wanted, predictor: Predictor, rows: pa.Table, kept_A: np.ndarray, outputs_AK: np.ndarray
) -> pa.Table:
    names = [name for name in rows.column_names if name not in ORIGIN] if wanted.keep == (ALL,) else wanted.keep
    beside = rows.select(list(names or ORIGIN))
    beside = beside if len(kept_A) == rows.num_rows else beside.take(pa.array(kept_A))
    columns: dict[str, Any] = {name: beside.column(name) for name in beside.column_names}
    kind = pa.string() if predictor.classes else pa.float64()
    columns[PREDICTION] = pa.array(predictor.transforms.predictions(outputs_AK), kind)
    if wanted.probabilities:
        for name, share_A in zip(predictor.classes, outputs_AK.T, strict=True):
            columns[PROBABILITY + name] = pa.array(share_A)
    return pa.table(columns)


def _refusals(predictor: Predictor, rows: Rows, refused: Sequence[RowRefused]) -> list[Refusal]:
    """All refusals of the part in the order of its rows, each with what the row had for the model."""
    names = predictor.transforms.input.columns
    found = list(rows.refused)
    cells = rows.table.select([*names, *ORIGIN]).take(pa.array([one.row for one in refused], pa.int64())).to_pylist()
    for one, row in zip(refused, cells, strict=True):
        raw = orjson.dumps({name: row[name] for name in names}, default=repr).decode()
        found.append(Refusal(row[FILE], row[ROW], one.rule, one.reason, cut(raw)))
    return sorted(found, key=lambda refusal: (refusal.file, refusal.row))
