"""The rows of a data set that were refused, and those that passes left out."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq

from storage.errors import ConfigError, CorruptArtifact, NotFound
from storage.manifests import Manifest, read_manifest
from storage.objects import ObjectStore
from tasks.frames.arrow import pc
from tasks.frames.stored_rows import read_table

FOLDER, FILTERED = "quarantine/", "filtered/"
KIND = "quarantine"  # of a manifest that has refused rows alone: of a run that was stopped for them
COLUMNS = ("_file", "_row", "label", "rule", "reason", "raw")


@dataclass
class Refused:
    """The rows that one rule refused: how many, of how many files, and the first ones as they are kept."""

    rows: int = 0
    files: Counter[str] = field(default_factory=Counter)
    examples: list[dict[str, Any]] = field(default_factory=list)


def open_quarantine(store: ObjectStore, digest: str) -> Manifest:
    """The manifest of a data set, or of the rows that a run was stopped for; CorruptArtifact when the digest names something else."""
    manifest = read_manifest(store, digest)
    if manifest.kind not in ("dataset", KIND):
        raise CorruptArtifact(
            f"manifest {digest}: found kind {manifest.kind!r}, wanted 'dataset'; pass a data set's digest"
        )
    return manifest


def refused_tables(store: ObjectStore, manifest: Manifest, rule: str = "", folder: str = FOLDER) -> Iterator[pa.Table]:
    """The refused rows, shard by shard: `_file`, `_row` (0: the whole file), `label` (the rule with its column), `rule`, `reason`, `raw`.

    `rule`: only those of that label or rule. `folder`: FILTERED for the rows that passes left out.
    """
    for name in sorted(one for one in manifest.files if one.startswith(folder)):
        table = read_table(store, manifest.files[name])
        if "label" not in table.column_names:  # of a data set that was made before rules had labels
            table = table.append_column("label", table.column("rule"))
        table = table.select(list(COLUMNS))
        if rule:
            table = table.filter(pc.or_(pc.equal(table.column("label"), rule), pc.equal(table.column("rule"), rule)))
        if table.num_rows:
            yield table


def read_quarantine(store: ObjectStore, dataset_digest: str, limit: int) -> list[dict[str, Any]]:
    """At most `limit` refused rows in the order of the shards, as `refused_tables` has them."""
    return _first(refused_tables(store, open_quarantine(store, dataset_digest)), limit)


def read_filtered(store: ObjectStore, dataset_digest: str, limit: int) -> list[dict[str, Any]]:
    """At most `limit` rows that `data.passes` left out, in the same form; `raw` is the row before the passes."""
    return _first(refused_tables(store, open_quarantine(store, dataset_digest), folder=FILTERED), limit)


def _first(tables: Iterator[pa.Table], limit: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for table in tables:
        found.extend(table.slice(0, limit - len(found)).to_pylist())
        if len(found) >= limit:
            break
    return found


def by_rule(store: ObjectStore, manifest: Manifest, rule: str = "", limit: int = 3) -> dict[str, Refused]:
    """The refused rows by label, the most frequent first, with `limit` examples of each. NotFound for a rule that refused none."""
    found: dict[str, Refused] = {}
    for table in refused_tables(store, manifest, rule):
        for one in pc.value_counts(table.column("label")):
            label = one["values"].as_py()
            rows = table.filter(pc.equal(table.column("label"), label))
            refused = found.setdefault(label, Refused())
            refused.rows += rows.num_rows
            files = pc.value_counts(rows.column("_file"))
            refused.files.update({file["values"].as_py(): file["counts"].as_py() for file in files})
            refused.examples += rows.slice(0, limit - len(refused.examples)).to_pylist()
    if rule and not found:
        there = sorted({label for table in refused_tables(store, manifest) for label in table["label"].to_pylist()})
        raise NotFound(f"rule {rule!r} refused no row; wanted one of {', '.join(there) or 'none: no row was refused'}")
    return dict(sorted(found.items(), key=lambda entry: (-entry[1].rows, entry[0])))


def export(store: ObjectStore, manifest: Manifest, rule: str, path: Path) -> int:
    """Write the refused rows to a Parquet or CSV file, by its name; how many. ConfigError for another name."""
    tables = refused_tables(store, manifest, rule)
    schema = pa.schema([(name, pa.int64() if name == "_row" else pa.string()) for name in COLUMNS])
    writers = {".parquet": pq.ParquetWriter, ".csv": arrow_csv.CSVWriter}
    if path.suffix not in writers:
        raise ConfigError(f"--export {path}: found the ending {path.suffix!r}, wanted .parquet or .csv")
    rows = 0
    with writers[path.suffix](str(path), schema) as writer:
        for table in tables:
            writer.write_table(table.cast(schema))
            rows += table.num_rows
    return rows
