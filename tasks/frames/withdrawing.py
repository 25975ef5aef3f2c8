"""Rows that shards hold and that are refused all the same, once all shards are known: the overlay says so, and the rows' file stays as it is."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import orjson
import pyarrow as pa

from storage.errors import SchemaError
from storage.objects import ObjectStore
from storage.shards import ShardResult
from tasks.frames.raw import FILE, ROW, Refusal, cut
from tasks.frames.schema import ARRAYS, Schema
from tasks.frames.seen import seen_in
from tasks.frames.shards import first_of_each_rule, keep, put_table, quarantine_table, statistics_of
from tasks.frames.splitting import count_splits
from tasks.frames.stored_rows import read_table
from tasks.frames.uniqueness import repeated
from tasks.sections import DataSection, UniqueRule
from tasks.transforms.items import show

QUARANTINED = "quarantined"  # in the overlay, where the others have their split
UNIQUE = "unique"


def hold_unique(
    section: DataSection, schema: Schema, shards: Sequence[ShardResult], store: ObjectStore
) -> list[ShardResult]:
    """The shards without the rows that repeat a key of the contract. SchemaError where it says fail."""
    held = list(shards)
    for number, rule in enumerate(section.contract.unique):
        found = repeated(store, shards, number)
        total = sum(map(len, found.values()))
        if total and rule.action == "fail":
            raise SchemaError(f"data: {total} rows repeat a key of {', '.join(rule.columns)}; the contract says: fail")
        for place, rows in found.items():
            held[place] = (_counted if rule.action == "warn" else _withdrawn)(schema, held[place], rows, rule, store)
    return held


def _counted(
    _schema: Schema, shard: ShardResult, rows: np.ndarray, rule: UniqueRule, _store: ObjectStore
) -> ShardResult:
    contract = {**shard.facts["contract"], rule.name: {"warn": len(rows)}}
    return ShardResult(shard.blobs, {**shard.facts, "contract": contract})


def _withdrawn(
    schema: Schema, shard: ShardResult, rows: np.ndarray, rule: UniqueRule, store: ObjectStore
) -> ShardResult:
    overlay, table = read_table(store, shard.blobs["overlay"]), read_table(store, shard.blobs["rows"])
    splits = np.array(overlay.column("split").to_pylist(), dtype=object)
    rows = rows[splits[rows] != QUARANTINED]  # what another rule took out already
    if not len(rows):
        return shard
    splits[rows] = QUARANTINED
    withdrawn = pa.array(splits.tolist(), pa.string())
    refused = _refusals(schema, table.take(pa.array(rows)), rule)
    overlay = overlay.set_column(overlay.column_names.index("split"), "split", withdrawn)
    facts = {name: value for name, value in shard.facts.items() if name not in ("statistics", "seen")}
    rules = Counter(facts["rules"]) + Counter({UNIQUE: len(rows)})
    facts |= {
        "rows_out": facts["rows_out"] - len(rows),
        "splits": count_splits(withdrawn),
        "rules": dict(sorted(rules.items())),
        "examples": {**first_of_each_rule(refused), **facts["examples"]},
        "contract": {**facts["contract"], rule.name: {"quarantine": len(rows)}},
    }
    blobs = {name: blob for name, blob in shard.blobs.items() if name not in ("statistics", "seen")}
    before = [read_table(store, blobs["quarantine"])] if "quarantine" in blobs else []
    blobs["quarantine"] = put_table(store, pa.concat_tables([*before, quarantine_table(refused)]))
    blobs["overlay"] = put_table(store, overlay)
    keep(store, blobs, facts, "statistics", statistics_of(schema, table.filter(pa.array(splits == "train"))))
    keep(store, blobs, facts, "seen", seen_in(schema, table.filter(pa.array(splits != QUARANTINED))))
    return ShardResult(blobs, facts)


def _refusals(schema: Schema, rows: pa.Table, rule: UniqueRule) -> list[Refusal]:
    plain = [column.name for column in schema.columns if column.type not in ARRAYS]
    found = []
    for row in rows.select([*plain, FILE, ROW]).to_pylist():
        key = ", ".join(f"{name} {show(row[name])}" if name in plain else name for name in rule.columns)
        reason = f"{key}: another row that is kept has the same"
        raw = cut(orjson.dumps({name: row[name] for name in plain}, default=str).decode())
        found.append(Refusal(row[FILE], row[ROW], UNIQUE, reason, raw, rule.name))
    return found
