"""The work of stage prepare: plan the shards, process them on Dask, and put the data set's manifest."""

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Any

import pyarrow as pa
from distributed import Client

from storage.errors import SchemaError
from storage.manifests import Manifest, put_manifest
from storage.objects import ObjectStore
from tasks.frames.gathering import spread
from tasks.frames.pieces import Piece, plan_group
from tasks.frames.profile import build_profile
from tasks.frames.reading import read_piece
from tasks.frames.schema import SAMPLE_ROWS, Schema, make_schema
from tasks.frames.settling import SAMPLE_FILES, SETTLED, arrays_of, settle
from tasks.frames.shards import Shard, process_shard
from tasks.frames.sources import FOLDERS, find_groups
from tasks.frames.splitting import SPLITS, carved_shares
from tasks.sections import DataSection

Report = Callable[[dict[str, Any]], None]
OpenClient = Callable[[], AbstractContextManager[Client]]


def prepare_dataset(section: DataSection, store: ObjectStore, open_client: OpenClient, report: Report) -> str:
    """The digest of the data set that `section` describes: the same on every cluster, however many workers come and go.

    SchemaError where data do not fit, too many rows are refused, or a split is left empty; NotFound where a source matches
    nothing; WorkerLost where the cluster is gone.
    """
    carved_shares(section)
    groups = find_groups(section)
    with open_client() as client:
        planned = dict(spread(client, "plan", partial(plan_group, section), groups))
        pieces = list(chain.from_iterable(planned[index] for index in range(len(groups))))
        section = settle(section, pieces)
        schema = infer(section, pieces)
        shards = _process(client, section, schema, pieces, store.url, report)
    manifest = assemble(section, schema, shards, store)
    return put_manifest(store, manifest)


def infer(section: DataSection, pieces: list[Piece]) -> Schema:
    """The schema by the first rows of the first pieces."""
    if not pieces:
        raise SchemaError("data.sources: found no rows in any file, wanted some; check the files and data.sources")
    arrays, tables, rows = arrays_of(section, pieces[0]), list[pa.Table](), 0
    for piece in pieces:
        tables.append(read_piece(section, _first(piece)).table)
        rows += tables[-1].num_rows
        if rows >= SAMPLE_ROWS or arrays or piece.entries[0] != pieces[0].entries[0]:
            break
    sample = pa.concat_tables(tables, promote_options="default").slice(0, SAMPLE_ROWS)
    return make_schema(section, sample, arrays)


def assemble(section: DataSection, schema: Schema, shards: list[Shard], store: ObjectStore) -> Manifest:
    """The manifest of the processed shards, its counts reconciled; SchemaError where the data will not do."""
    rules: Counter[str] = Counter()
    for shard in shards:
        rules.update(shard.rules)
    rows_in, rows_out = sum(s.rows_in for s in shards), sum(s.rows_out for s in shards)
    refused = rules.total()
    if rows_in != rows_out + refused:
        raise SchemaError(f"data set: {rows_in} rows in, but {rows_out} out and {refused} quarantined; run again")
    _check_quarantine(section, shards, rules, rows_in)
    splits = {split: sum(shard.splits[split] for shard in shards) for split in SPLITS}
    _check_splits(section, splits)
    names = [f"part-{index:05d}" for index in range(len(shards))]
    files = {
        f"{kind}/{name}.parquet": blob for name, s in zip(names, shards, strict=True) for kind, blob in s.blobs.items()
    }
    columns = [column.to_json() for column in schema.columns]
    meta = {
        "task": section.task,
        "kind": section.kind,
        "target": schema.targets[0].name if schema.targets else "",
        "features": [column.name for column in schema.features],
        "schema": columns,
        "unused": list(schema.unused),
        "missing": sorted(section.csv.missing),
        "rows_in": rows_in,
        "rows_out": rows_out,
        "rows_quarantined": refused,
        "splits": splits,
        "quarantine": [
            {"rule": rule, "count": count} for rule, count in sorted(rules.items(), key=lambda r: (-r[1], r[0]))
        ],
        "shards": [
            {"name": name, "rows_in": s.rows_in, "rows_out": s.rows_out, "rows_quarantined": s.rows_quarantined}
            for name, s in zip(names, shards, strict=True)
        ],
    }
    profile = build_profile(store, Manifest("dataset", files, meta))
    return Manifest("dataset", files, {**meta, "profile": profile})


def _process(
    client: Client, section: DataSection, schema: Schema, pieces: list[Piece], store_url: str, report: Report
) -> list[Shard]:
    work = partial(process_shard, section, schema, store_url=store_url)
    done: dict[int, Shard] = {}
    rows = 0
    report({"stage": "prepare", "done": 0, "total": len(pieces), "rows": 0})
    for index, shard in spread(client, "shard", work, pieces):
        done[index] = shard
        rows += shard.rows_in
        report({"stage": "prepare", "done": len(done), "total": len(pieces), "rows": rows})
    return [done[index] for index in range(len(pieces))]


def _first(piece: Piece) -> Piece:
    """The piece cut to the sample's rows, where its format can be read in part."""
    rows = SAMPLE_FILES if piece.format in SETTLED else SAMPLE_ROWS
    if piece.length or piece.stop - piece.start <= rows:
        return piece
    loose = piece.format in FOLDERS and piece.pattern is None
    return replace(piece, entries=piece.entries[:rows] if loose else piece.entries, stop=piece.start + rows)


def _check_quarantine(section: DataSection, shards: Iterable[Shard], rules: Counter[str], rows_in: int) -> None:
    refused = rules.total()
    if refused <= section.max_quarantined_share * rows_in:
        return
    examples = {e.rule: e for shard in reversed(list(shards)) for e in reversed(shard.examples)}
    reasons = "; ".join(
        f"{rule}: {count} rows, e.g. {examples[rule].file} row {examples[rule].row}: {examples[rule].reason}"
        for rule, count in rules.most_common(3)
    )
    raise SchemaError(
        f"data: {refused} of {rows_in} rows are refused ({refused / rows_in:.1%}), wanted at most {section.max_quarantined_share:.1%} "
        f"(data.max_quarantined_share). {reasons}. Correct the data, or declare their columns in data.columns"
    )


def _check_splits(section: DataSection, splits: dict[str, int]) -> None:
    empty = [split for split, rows in splits.items() if rows == 0]
    if empty:
        documents = section.format == "documents" or section.task == "language_model"
        more = "more documents (the split is drawn by the whole document)" if documents else "more rows"
        raise SchemaError(
            f"data: no rows for {' and '.join(empty)} out of {sum(splits.values())}; wanted some in each split: give {more}, or raise "
            "data.validation_share and data.test_share, or name each split's sources (data.sources.split)"
        )
