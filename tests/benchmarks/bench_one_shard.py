"""`python tests/benchmarks/bench_one_shard.py`: one new shard of a thousand, transforms pinned, beside a full run over the same files.

Prepare, fit and encode `--shards` files of `--rows` rows each; then one file more under the transforms of the first run; then all files in an
empty store under the same transforms. Each is a process of its own with all that it starts; counted is the processor time of all of
them, Python's start included. One JSON line: seconds of each, the share of the full run's that one shard took (wanted: at most 0.02), and
whether data set and features are those of the full run. `--folder` for the files (default: the system's for temporary ones).
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench_dask import write
from process_tree import cost_of, this

WANTED = 0.02


def main() -> None:
    """Measure, and write the line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--folder", default=None)
    parser.add_argument("--phase", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.phase:
        sys.stdout.write(json.dumps(phase(*arguments.phase)) + "\n")
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        line = measured(Path(folder), arguments.shards, arguments.rows)
    sys.stdout.write(json.dumps({"benchmark": "one_shard", "wanted": WANTED, **line}) + "\n")


def measured(folder: Path, shards: int, rows: int) -> dict[str, Any]:
    """The three runs."""
    environment = {**os.environ, "MILLRACE_ROOT": str(folder / "root"), "OMP_NUM_THREADS": "1"}
    late = folder / "late.csv"
    write(folder / "in", shards + 1, rows)
    last = folder / "in" / f"{shards:04d}.csv"
    last.rename(late)
    first = cost_of(this("--phase", folder / "in", folder / "store", "-"), environment)
    late.rename(last)
    transforms = first.said["transforms"]
    added = cost_of(this("--phase", folder / "in", folder / "store", transforms), environment)
    (folder / "afresh").mkdir()
    fitted = folder / "store"
    full = cost_of(this("--phase", folder / "in", folder / "afresh", f"{fitted}:{transforms}"), environment)
    return {
        "shards": shards,
        "rows_each": rows,
        "first_cpu_seconds": round(first.cpu_seconds, 2),
        "one_added_cpu_seconds": round(added.cpu_seconds, 2),
        "full_cpu_seconds": round(full.cpu_seconds, 2),
        "share": round(added.cpu_seconds / full.cpu_seconds, 4),
        "known": added.said["known"],
        "identical": added.said["digests"] == full.said["digests"],
    }


def phase(folder: str, store_url: str, transforms: str) -> dict[str, Any]:
    """Prepare, fit (or take the transforms of that digest, of another store where it is named) and encode, as a run does."""
    from infra.sharing import one_cluster
    from storage.manifests import put_files, read_manifest
    from storage.objects import open_store
    from tasks.frames import encoding
    from tasks.frames.crews import crew
    from tasks.frames.identity import identified
    from tasks.frames.pinned import check_pinned
    from tasks.frames.prepare import prepare_dataset
    from tasks.sections import ClusterSection, DataSection, TransformsSection
    from tasks.stored import read_files

    data = DataSection.model_validate({"sources": [{"url": "*.csv"}], "root": folder, "kind": "table"})
    store, events = open_store(store_url), list[dict[str, Any]]()

    def clusters() -> Any:
        from infra.agreement import Work
        from infra.clusters import open_cluster

        return open_cluster(ClusterSection(), work=Work("tasks.frames.prepare:prepare_dataset", store_url))

    with one_cluster():
        dataset = prepare_dataset(data, identified(data), store, clusters, events.append, alone=True)
        if transforms == "-":
            from tasks.frames.fitting import fit_transforms

            transforms = put_files(store, "transforms", fit_transforms(TransformsSection(), store, dataset), {})
        elif ":" in transforms:
            elsewhere, _, transforms = transforms.rpartition(":")
            other = open_store(elsewhere)
            put_files(store, "transforms", read_files(other, read_manifest(other, transforms)), {})
        check_pinned(store, transforms, dataset)
        with crew(clusters, encoding.is_little) as spread:
            features = encoding.encode(store, dataset, transforms, spread, events.append)
    known = [event["event"] for event in events if "event" in event]
    return {"digests": [dataset, features], "transforms": transforms, "known": known}


if __name__ == "__main__":
    main()
