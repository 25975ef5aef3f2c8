"""From the results of all shards to the data set's manifest: counts reconciled, statistics merged, limits held."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from storage.blobs import put_blob, read_blob
from storage.errors import SchemaError
from storage.manifests import Manifest, canonical_json, put_manifest
from storage.metering import carried
from storage.objects import ObjectStore
from storage.shards import ShardResult
from tasks.frames.cleaning import bind, changes_of
from tasks.frames.inferring import contract_of
from tasks.frames.judging import judged
from tasks.frames.profile import build_profile
from tasks.frames.schema import Schema
from tasks.frames.seen import merged
from tasks.frames.statistics import MERGED_POINTS, Merging, Statistics
from tasks.sections import DataSection
from tasks.splits import SPLITS

STATISTICS = "statistics.json"  # of all training rows, by column
CONTRACT = "contract.json"  # what all rows would fulfil, and what was seen of them
READERS, READ_AT_ONCE = 16, 256  # so that the statistics of thousands of shards are never held at once


def assemble(section: DataSection, schema: Schema, shards: Sequence[ShardResult], store: ObjectStore) -> Manifest:
    """The manifest of the processed shards, its counts reconciled; SchemaError where the data will not do."""
    rules, filtered = _counted(shards, "rules"), _counted(shards, "filtered")
    rows_in, rows_out = (sum(shard.facts[name] for shard in shards) for name in ("rows_in", "rows_out"))
    refused = rules.total()
    if rows_in != rows_out + refused + filtered.total():
        raise SchemaError(
            f"data set: {rows_in} rows in, but {rows_out} out, {refused} quarantined and {filtered.total()} filtered; run again"
        )
    _check_quarantine(section, shards, rules, rows_in, store)
    seen = seen_of_all(schema, shards, store)
    findings = judged(section, shards, seen, rows_in)
    splits = {split: sum(shard.facts["splits"][split] for shard in shards) for split in SPLITS}
    _check_splits(section, splits, filtered)
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
        "rows_filtered": filtered.total(),
        "splits": splits,
        "quarantine": _by_count(rules),
        "filtered": _by_count(filtered),
        "findings": findings,
        "cleaning": changes_of(bind(section, schema), schema),
        "shards": [_shard(name, shard) for name, shard in zip(names, shards, strict=True)],
        "profile": build_profile(schema.columns, statistics),
    }
    files |= {
        STATISTICS: put_blob(store, _dumped(statistics), ".json"),
        CONTRACT: put_blob(
            store, canonical_json({"contract": contract_of(section, schema, seen), "seen": seen}), ".json"
        ),
    }
    return Manifest("dataset", files, meta)


def merged_statistics(schema: Schema, shards: Sequence[ShardResult], store: ObjectStore) -> dict[str, Statistics]:
    """Of all training rows, by column, merged in the shards' order."""
    merging = {column.name: Merging() for column in schema.columns}
    with ThreadPoolExecutor(READERS) as readers:
        for start in range(0, len(shards), READ_AT_ONCE):
            some = shards[start : start + READ_AT_ONCE]
            for one in readers.map(carried(lambda shard: _kept(store, shard, "statistics")), some):
                for name, data in one.items():
                    merging[name].add(Statistics.from_json(data))
    return {name: one.merged() for name, one in merging.items()}


def seen_of_all(schema: Schema, shards: Sequence[ShardResult], store: ObjectStore) -> dict[str, Any]:
    """Of all rows, by column."""
    with ThreadPoolExecutor(READERS) as readers:
        found = list(readers.map(carried(lambda shard: _kept(store, shard, "seen")), shards))
    return merged(found, schema.columns)


def read_statistics(store: ObjectStore, manifest: Manifest) -> dict[str, Statistics]:
    """What `assemble` stored of the training rows, by column."""
    found = json.loads(read_blob(store, manifest.files[STATISTICS]))
    return {name: Statistics.from_json(data) for name, data in found.items()}


def _kept(store: ObjectStore, shard: ShardResult, name: str) -> Mapping[str, Any]:
    blob = shard.blobs.get(name)
    return json.loads(read_blob(store, blob)) if blob else shard.facts[name]


def _dumped(statistics: Mapping[str, Statistics]) -> bytes:
    for one in statistics.values():
        one.ranks = one.ranks.thinned(MERGED_POINTS)
    return canonical_json({name: one.to_json() for name, one in statistics.items()})


def _counted(shards: Sequence[ShardResult], fact: str) -> Counter[str]:
    """Rows by rule, over all shards."""
    counts: Counter[str] = Counter()
    for shard in shards:
        counts.update(shard.facts[fact])
    return counts


def _by_count(rules: Counter[str]) -> list[dict[str, Any]]:
    """Rules with their counts, most frequent first."""
    return [{"rule": rule, "count": count} for rule, count in sorted(rules.items(), key=lambda r: (-r[1], r[0]))]


def _shard(name: str, shard: ShardResult) -> dict[str, Any]:
    facts = shard.facts
    return {
        "name": name,
        "rows_in": facts["rows_in"],
        "rows_out": facts["rows_out"],
        "rows_quarantined": sum(facts["rules"].values()),
        "rows_filtered": sum(facts["filtered"].values()),
        "splits": facts["splits"],
    }


def _check_quarantine(
    section: DataSection, shards: Sequence[ShardResult], rules: Counter[str], rows_in: int, store: ObjectStore
) -> None:
    refused = rules.total()
    if refused <= section.max_quarantined_share * rows_in:
        return
    examples = {rule: said for shard in reversed(shards) for rule, said in shard.facts["examples"].items()}
    reasons = "; ".join(f"{rule}: {count} rows, e.g. {examples[rule]}" for rule, count in rules.most_common(3))
    raise SchemaError(
        f"data: {refused} of {rows_in} rows are refused ({refused / rows_in:.1%}), wanted at most {section.max_quarantined_share:.1%} "
        f"(data.max_quarantined_share). {reasons}. Correct the data, or declare their columns in data.columns; all of them: "
        f"millrace quarantine {_kept_for_people(store, shards, rows_in)}"
    )


def _kept_for_people(store: ObjectStore, shards: Sequence[ShardResult], rows_in: int) -> str:
    """The digest under which the refused rows can be looked at, where no data set is made of the others."""
    blobs = [shard.blobs["quarantine"] for shard in shards if "quarantine" in shard.blobs]
    files = {f"quarantine/part-{number:05d}.parquet": blob for number, blob in enumerate(blobs)}
    return put_manifest(store, Manifest("quarantine", files, {"rows_in": rows_in}))


def _check_splits(section: DataSection, splits: dict[str, int], filtered: Counter[str]) -> None:
    empty = [split for split, rows in splits.items() if rows == 0]
    if empty:
        documents = section.format == "documents" or section.task == "language_model"
        more = "more documents (the split is drawn by the whole document)" if documents else "more rows"
        most = ", ".join(f"{rule}: {count}" for rule, count in filtered.most_common(3))
        lost = f" ({filtered.total()} were filtered by data.passes, most by {most})" if filtered else ""
        raise SchemaError(
            f"data: no rows for {' and '.join(empty)} out of {sum(splits.values())}{lost}; wanted some in each split: give {more}, or raise "
            "data.validation_share and data.test_share, or name each split's sources (data.sources.split)"
        )
