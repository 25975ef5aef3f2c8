"""One shard: a piece of a source read, checked, cleaned, split and stored. Runs on a Dask worker; its result is a few numbers."""

import io
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from storage.blobs import Blob, put_blob
from storage.errors import SchemaError
from storage.manifests import canonical_json
from storage.objects import ObjectStore
from storage.shards import ShardResult
from tasks.frames.arrow import pc
from tasks.frames.checking import check
from tasks.frames.cleaning import clean, without_personal
from tasks.frames.pieces import Piece
from tasks.frames.raw import DOCUMENT, Refusal
from tasks.frames.reading import read_piece
from tasks.frames.schema import Schema
from tasks.frames.splitting import assign_splits, content_hashes, count_splits
from tasks.frames.statistics import describe
from tasks.sections import DataSection

INLINE_BYTES = 4096  # statistics up to this size go into the shard's record, larger ones into a blob of their own


def process_shard(section: DataSection, schema: Schema, store: ObjectStore, piece: Piece) -> ShardResult:
    """Store the clean rows, overlay, quarantine and filtered rows of `piece`; the same piece gives the same bytes anywhere.

    Facts: `rows_in`, `rows_out`, rows of each of `splits`, refused rows by `rules` with `examples`, `filtered` rows by rule, `statistics`
    of the training rows (where they are small; else a blob of that name). SchemaError when rows in are not rows out, quarantined and
    filtered together.
    """
    checked, refused = check(section, schema, read_piece(section, piece))
    rows, filtered = clean(section, schema, checked)
    refused = without_personal(section, refused)
    rows_in = piece.stop - piece.start
    if rows.num_rows + len(refused) + len(filtered) != rows_in:
        raise SchemaError(
            f"{piece.entries[0].name}: rows {piece.start + 1} to {piece.stop}: {rows_in} rows in, but {rows.num_rows} out, "
            f"{len(refused)} quarantined and {len(filtered)} filtered; the file has changed since it was planned: run again"
        )
    hashes = content_hashes(schema, rows)
    drawn_by = hashes
    if section.task == "language_model":
        if DOCUMENT not in rows.column_names:  # each row is a document
            rows = rows.append_column(DOCUMENT, pa.array(hashes, pa.string()))
        drawn_by = rows.column(DOCUMENT).to_pylist()
    splits = assign_splits(section, piece.split, drawn_by)
    overlay = pa.table({"hash": pa.array(hashes, pa.string()), "split": pa.array(splits, pa.string())})
    blobs = {"rows": put_table(store, rows), "overlay": put_table(store, overlay)}
    if refused:
        blobs["quarantine"] = put_table(store, quarantine_table(refused))
    if filtered:
        blobs["filtered"] = put_table(store, quarantine_table(filtered))
    facts = {
        "rows_in": rows_in,
        "rows_out": rows.num_rows,
        "splits": count_splits(splits),
        "rules": count_rules(refused),
        "filtered": count_rules(filtered),
        "examples": first_of_each_rule(refused),
    }
    statistics = _statistics(schema, rows.filter(pc.equal(overlay.column("split"), "train")))
    content = canonical_json(statistics)
    if len(content) > INLINE_BYTES:
        return ShardResult({**blobs, "statistics": put_blob(store, content, ".json")}, facts)
    return ShardResult(blobs, {**facts, "statistics": statistics})


def put_table(store: ObjectStore, table: pa.Table) -> Blob:
    """Store a table as Parquet; the same table gives the same bytes."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return put_blob(store, buffer.getvalue(), ".parquet")


def _statistics(schema: Schema, rows: pa.Table) -> dict[str, Any]:
    """By column; empty where there are no training rows."""
    if not rows.num_rows:
        return {}
    return {column.name: describe(column, rows.column(column.name)).to_json() for column in schema.columns}


def quarantine_table(refused: list[Refusal]) -> pa.Table:
    """Refused rows as they are kept."""
    return pa.table(
        {
            "_file": pa.array([r.file for r in refused], pa.string()),
            "_row": pa.array([r.row for r in refused], pa.int64()),
            "rule": pa.array([r.rule for r in refused], pa.string()),
            "reason": pa.array([r.reason for r in refused], pa.string()),
            "raw": pa.array([r.raw for r in refused], pa.string()),
        }
    )


def count_rules(refused: list[Refusal]) -> dict[str, int]:
    """Rows by rule, in the rules' order."""
    return dict(sorted(Counter(refusal.rule for refusal in refused).items()))


def first_of_each_rule(refused: list[Refusal]) -> Mapping[str, str]:
    """The first refusal of each rule, in words."""
    return {r.rule: f"{r.file} row {r.row}: {r.reason}" for r in reversed(refused)}
