"""One shard: a piece of a source read, checked, cleaned, split and stored. Runs on a Dask worker; its result is a few numbers."""

import io
from collections import Counter
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.parquet as pq

from storage.blobs import Blob, put_blob
from storage.errors import SchemaError
from storage.objects import ObjectStore, open_store
from tasks.frames.checking import check
from tasks.frames.pieces import Piece
from tasks.frames.raw import DOCUMENT, Refusal
from tasks.frames.reading import read_piece
from tasks.frames.schema import Schema
from tasks.frames.splitting import assign_splits, content_hashes, count_splits
from tasks.sections import DataSection

EXAMPLES = 3


@dataclass(frozen=True)
class Shard:
    """What is known of a stored shard: its blobs (rows, overlay, perhaps quarantine) and its counts. `rules`: refused rows by rule."""

    blobs: dict[str, Blob]
    rows_in: int
    rows_out: int
    splits: dict[str, int]
    rules: dict[str, int] = field(default_factory=dict)
    examples: tuple[Refusal, ...] = ()

    @property
    def rows_quarantined(self) -> int:
        return sum(self.rules.values())


def process_shard(section: DataSection, schema: Schema, piece: Piece, store_url: str) -> Shard:
    """Store the clean rows, overlay and quarantine of `piece`; the same piece gives the same bytes anywhere.

    SchemaError when rows in are not rows out and quarantined together.
    """
    store = open_store(store_url)
    rows, refused = check(section, schema, read_piece(section, piece))
    rows_in = piece.stop - piece.start
    if rows.num_rows + len(refused) != rows_in:
        raise SchemaError(
            f"{piece.entries[0].name}: rows {piece.start + 1} to {piece.stop}: {rows_in} rows in, but {rows.num_rows} out and "
            f"{len(refused)} quarantined; the file has changed since it was planned: run again"
        )
    hashes = content_hashes(schema, rows)
    drawn_by = hashes
    if section.task == "language_model":
        if DOCUMENT not in rows.column_names:  # each row is a document
            rows = rows.append_column(DOCUMENT, pa.array(hashes, pa.string()))
        drawn_by = rows.column(DOCUMENT).to_pylist()
    splits = assign_splits(section, piece.split, drawn_by)
    overlay = pa.table({"hash": pa.array(hashes, pa.string()), "split": pa.array(splits, pa.string())})
    blobs = {"rows": _put(store, rows), "overlay": _put(store, overlay)}
    if refused:
        blobs["quarantine"] = _put(store, _quarantine(refused))
    rules = dict(sorted(Counter(refusal.rule for refusal in refused).items()))
    return Shard(blobs, rows_in, rows.num_rows, count_splits(splits), rules, _examples(refused))


def _put(store: ObjectStore, table: pa.Table) -> Blob:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return put_blob(store, buffer.getvalue(), ".parquet")


def _quarantine(refused: list[Refusal]) -> pa.Table:
    return pa.table(
        {
            "_file": pa.array([r.file for r in refused], pa.string()),
            "_row": pa.array([r.row for r in refused], pa.int64()),
            "rule": pa.array([r.rule for r in refused], pa.string()),
            "reason": pa.array([r.reason for r in refused], pa.string()),
            "raw": pa.array([r.raw for r in refused], pa.string()),
        }
    )


def _examples(refused: list[Refusal]) -> tuple[Refusal, ...]:
    """The first few refusals of each rule."""
    seen: Counter[str] = Counter()
    kept = []
    for refusal in refused:
        seen[refusal.rule] += 1
        if seen[refusal.rule] <= EXAMPLES:
            kept.append(refusal)
    return tuple(kept)
