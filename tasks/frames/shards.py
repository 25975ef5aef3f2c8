"""One shard: a piece of a source read, checked, cleaned, split and stored. Runs on a Dask worker; its result is a few numbers."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from storage.blobs import Blob, put_blob
from storage.errors import SchemaError
from storage.manifests import canonical_json
from storage.objects import ObjectStore
from storage.shards import ShardResult
from tasks.frames.admitting import admitted
from tasks.frames.arrow import pc
from tasks.frames.cleaning import clean, without_personal
from tasks.frames.pieces import Piece
from tasks.frames.raw import DOCUMENT, Refusal
from tasks.frames.row_hashes import content_hashes
from tasks.frames.schema import Schema
from tasks.frames.seen import seen_in
from tasks.frames.splitting import assign_splits, count_splits
from tasks.frames.statistics import describe
from tasks.frames.uniqueness import keys_of
from tasks.sections import DataSection
from tasks.splits import SPLITS

INLINE_BYTES = 4096  # statistics up to this size go into the shard's record, larger ones into a blob of their own


def process_shard(section: DataSection, schema: Schema, store: ObjectStore, piece: Piece) -> ShardResult:
    """Store the clean rows, overlay, quarantine and filtered rows of `piece`; the same piece gives the same bytes anywhere.

    Facts: `rows_in`, `rows_out`, rows of each of `splits`, refused rows by `rules` with `examples`, `filtered` rows by rule, what the
    contract found (`contract`, see `Findings`, with examples as `told`); `statistics` of the training rows and what was `seen` of all
    (each a blob of that name where it is not small). SchemaError when rows in are not rows out, quarantined and filtered together.
    """
    checked, refused, findings, watched = admitted(section, schema, store, piece)
    rows, filtered, kept = clean(section, schema, checked)
    watched = watched.take(pa.array(kept)) if filtered else watched
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
            rows = rows.append_column(DOCUMENT, pa.array([f"{one:016x}" for one in hashes.tolist()], pa.string()))
        drawn_by = np.array([int(one, 16) for one in rows.column(DOCUMENT).to_pylist()], np.uint64)
    splits = assign_splits(section, piece.split, drawn_by)
    overlay = pa.table({"hash": hashes, "split": splits})
    blobs = {"rows": put_table(store, rows), "overlay": put_table(store, overlay)}
    if section.contract.unique:
        blobs["keys"] = put_table(store, keys_of(section.contract.unique, rows, watched, hashes))
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
        "contract": findings.counts,
        "told": findings.examples,
    }
    statistics = statistics_of(schema, rows.filter(pc.equal(splits.indices, SPLITS.index("train"))))
    for name, found in (("statistics", statistics), ("seen", seen_in(schema, rows))):
        keep(store, blobs, facts, name, found)
    return ShardResult(blobs, facts)


def keep(store: ObjectStore, blobs: dict[str, Blob], facts: dict[str, Any], name: str, found: Any) -> None:
    """Put `found` among the facts where it is small, else into a blob of that name."""
    content = canonical_json(found)
    if len(content) > INLINE_BYTES:
        blobs[name] = put_blob(store, content, ".json")
    else:
        facts[name] = found


def put_table(store: ObjectStore, table: pa.Table) -> Blob:
    """Store a table as Parquet; the same table gives the same bytes.

    A dictionary is for texts: of numbers it is larger, and takes as long as all the rest. What is coded in one here is a plain text to
    readers, as Parquet codes by itself. Whole numbers are written by their differences.
    """
    kinds = {field.name: field.type for field in table.schema}
    coded = any(pa.types.is_dictionary(kind) for kind in kinds.values())
    texts: Any = [name for name, kind in kinds.items() if pa.types.is_string(kind) or pa.types.is_dictionary(kind)]
    buffer = pa.BufferOutputStream()
    pq.write_table(
        table,
        buffer,
        compression="zstd",
        store_schema=not coded,
        use_dictionary=texts,
        column_encoding={name: "DELTA_BINARY_PACKED" for name, kind in kinds.items() if kind == pa.int64()},
    )
    return put_blob(store, buffer.getvalue().to_pybytes(), ".parquet")


def statistics_of(schema: Schema, rows: pa.Table) -> dict[str, Any]:
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
            "label": pa.array([r.label or r.rule for r in refused], pa.string()),
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
