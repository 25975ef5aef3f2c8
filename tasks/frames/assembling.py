"""From the results of all shards to the data set's manifest: counts reconciled, statistics merged, limits held."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from storage.blobs import put_blob, read_blob
from storage.errors import SchemaError
from storage.manifests import Manifest, canonical_json
from storage.metering import carried
from storage.objects import ObjectStore
from storage.shards import ShardResult
from tasks.frames.profile import build_profile
from tasks.frames.schema import Schema
from tasks.frames.statistics import MERGED_POINTS, Merging, Statistics
from tasks.sections import DataSection
from tasks.splits import SPLITS

STATISTICS = "statistics.json"  # of all training rows, by column
READERS, READ_AT_ONCE = 16, 256  # so that the statistics of thousands of shards are never held at once


def assemble(section: DataSection, schema: Schema, shards: Sequence[ShardResult], store: ObjectStore) -> Manifest:
    """The manifest of the processed shards, its counts reconciled; SchemaError where the data will not do."""
    rules: Counter[str] = Counter()
    for shard in shards:
        rules.update(shard.facts["rules"])
    rows_in, rows_out = (sum(shard.facts[name] for shard in shards) for name in ("rows_in", "rows_out"))
    refused = rules.total()
    if rows_in != rows_out + refused:
        raise SchemaError(f"data set: {rows_in} rows in, but {rows_out} out and {refused} quarantined; run again")
    _check_quarantine(section, shards, rules, rows_in)
    splits = {split: sum(shard.facts["splits"][split] for shard in shards) for split in SPLITS}
    _check_splits(section, splits)
    statistics = merged_statistics(schema, shards, store)
    names = [f"part-{index:05d}" for index in range(len(shards))]
    files = {
        f"{kind}/{name}{blob.suffix}": blob
        for name, shard in zip(names, shards, strict=True)
        for kind, blob in shard.blobs.items()
    }
    meta = {
        "task": section.task,
        "kind": section.kind,
        "target": schema.targets[0].name if schema.targets else "",
        "features": [column.name for column in schema.features],
        "schema": [column.to_json() for column in schema.columns],
        "unused": list(schema.unused),
        "missing": sorted(section.csv.missing),
        "rows_in": rows_in,
        "rows_out": rows_out,
        "rows_quarantined": refused,
        "splits": splits,
        "quarantine": [
            {"rule": rule, "count": count} for rule, count in sorted(rules.items(), key=lambda r: (-r[1], r[0]))
        ],
        "shards": [_shard(name, shard) for name, shard in zip(names, shards, strict=True)],
        "profile": build_profile(schema.columns, statistics),
    }
    return Manifest("dataset", {**files, STATISTICS: put_blob(store, _dumped(statistics), ".json")}, meta)


def merged_statistics(schema: Schema, shards: Sequence[ShardResult], store: ObjectStore) -> dict[str, Statistics]:
    """Of all training rows, by column, merged in the shards' order."""
    merging = {column.name: Merging() for column in schema.columns}
    with ThreadPoolExecutor(READERS) as readers:
        for start in range(0, len(shards), READ_AT_ONCE):
            some = shards[start : start + READ_AT_ONCE]
            for one in readers.map(carried(lambda shard: _statistics(store, shard)), some):
                for name, data in one.items():
                    merging[name].add(Statistics.from_json(data))
    return {name: one.merged() for name, one in merging.items()}


def read_statistics(store: ObjectStore, manifest: Manifest) -> dict[str, Statistics]:
    """What `assemble` stored of the training rows, by column."""
    found = json.loads(read_blob(store, manifest.files[STATISTICS]))
    return {name: Statistics.from_json(data) for name, data in found.items()}


def _statistics(store: ObjectStore, shard: ShardResult) -> Mapping[str, Any]:
    blob = shard.blobs.get("statistics")
    return json.loads(read_blob(store, blob)) if blob else shard.facts["statistics"]


def _dumped(statistics: Mapping[str, Statistics]) -> bytes:
    for one in statistics.values():
        one.ranks = one.ranks.thinned(MERGED_POINTS)
    return canonical_json({name: one.to_json() for name, one in statistics.items()})


def _shard(name: str, shard: ShardResult) -> dict[str, Any]:
    facts = shard.facts
    return {
        "name": name,
        "rows_in": facts["rows_in"],
        "rows_out": facts["rows_out"],
        "rows_quarantined": sum(facts["rules"].values()),
        "splits": facts["splits"],
    }


def _check_quarantine(section: DataSection, shards: Sequence[ShardResult], rules: Counter[str], rows_in: int) -> None:
    refused = rules.total()
    if refused <= section.max_quarantined_share * rows_in:
        return
    examples = {rule: said for shard in reversed(shards) for rule, said in shard.facts["examples"].items()}
    reasons = "; ".join(f"{rule}: {count} rows, e.g. {examples[rule]}" for rule, count in rules.most_common(3))
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
