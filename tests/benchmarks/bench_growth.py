"""`python tests/benchmarks/bench_growth.py --folder DIR`: stage prepare over 0.1, 1 and 10 GB of CSV: processor time and memory as the data grow.

The files (32 MB each, the same each time; `table`: six columns of numbers and words; `text`: a text of words of a natural frequency and a
label) are written to `--folder`, which needs twice the largest size, and removed again. Each size is prepared into an empty store by a
process of its own on two workers; counted is the processor time of all processes, and of memory the greatest RSS and PSS of any worker, of the
run and of the scheduler, sampled four times a second. One JSON line for each size, and one with the slopes: processor seconds per byte
against those of the size before (wanted: at most 1.15 from 1 to 10 GB). `--gigabytes 0.1 1`, `--kind text`, `--workers 2`.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from process_tree import cost_of, this

FILE_BYTES = 32_000_000
VOCABULARY = 50_000
WANTED_SLOPE, WANTED_BYTES = 1.15, 1_500_000_000
ROW_BYTES = {"table": 42, "text": 262}  # about


def main() -> None:
    """Measure, and write the lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, nargs="+", default=[0.1, 1.0, 10.0])
    parser.add_argument("--kind", choices=sorted(ROW_BYTES), default="table")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", default=None)
    parser.add_argument("--phase", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.phase:
        kind, root, store, workers = arguments.phase
        sys.stdout.write(json.dumps(prepared(kind, root, store, int(workers))) + "\n")
        return
    lines = []
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        for gigabytes in sorted(arguments.gigabytes):
            lines.append(measured(arguments.kind, gigabytes, Path(folder), arguments.workers))
            sys.stdout.write(json.dumps(lines[-1]) + "\n")
            sys.stdout.flush()
    sys.stdout.write(json.dumps(slopes(lines)) + "\n")


def measured(kind: str, gigabytes: float, folder: Path, workers: int) -> dict[str, Any]:
    """One size. Files of a smaller size are there already: those of a larger one are more of the same."""
    total = write(folder / "in", kind, round(gigabytes * 1e9))
    environment = {**os.environ, "MILLRACE_ROOT": str(folder / "root"), "OMP_NUM_THREADS": "1"}
    cost = cost_of(this("--phase", kind, folder / "in", folder / "store", workers), environment, memory=True)
    for made in ("store", "root"):
        shutil.rmtree(folder / made)
    peaks = {"worker": "worker ", "run": "--phase", "scheduler": "infra.local_cluster"}
    return {
        "benchmark": "growth",
        "kind": kind,
        "bytes": total,
        **cost.said,
        "cpu_seconds": round(cost.cpu_seconds, 2),
        "bytes_per_cpu_second": round(total / cost.cpu_seconds),
        **{f"{who}_peak_rss_pss_bytes": cost.peak(name) for who, name in peaks.items()},
    }


def slopes(lines: list[dict[str, Any]]) -> dict[str, Any]:
    """How much more a byte costs than at the size before, and the greatest memory of any worker."""
    costs = [(line["bytes"], line["cpu_seconds"] / line["bytes"]) for line in lines]
    found = {
        f"{before / 1e9:.1f}_to_{now / 1e9:.1f}_GB": round(cost / cost_before, 3)
        for (before, cost_before), (now, cost) in pairwise(costs)
    }
    peak = max(line["worker_peak_rss_pss_bytes"][0] for line in lines)
    wanted = {"wanted_slope": WANTED_SLOPE, "wanted_worker_bytes": WANTED_BYTES}
    return {"benchmark": "growth", "slopes": found, "worker_peak_bytes": peak, **wanted}


def write(folder: Path, kind: str, total: int) -> int:
    """So many bytes, in files of 32 MB; how many there are in all."""
    folder.mkdir(exist_ok=True)
    for number in range(max(1, round(total / FILE_BYTES))):
        path = folder / f"{number:05d}.csv"
        if not path.exists():
            quoted = "needed" if kind == "text" else "none"
            options = pyarrow.csv.WriteOptions(quoting_style=quoted)
            pyarrow.csv.write_csv(rows(kind, number, FILE_BYTES // ROW_BYTES[kind]), path, options)
    return sum(path.stat().st_size for path in folder.iterdir())


def rows(kind: str, number: int, count: int) -> pa.Table:
    """The rows of file `number`."""
    draw = np.random.default_rng(number)
    label = pa.array(draw.choice(["yes", "no"], count))
    if kind == "text":
        lengths = draw.integers(5, 60, count)
        words = vocabulary().take(pa.array(np.minimum(draw.zipf(1.3, lengths.sum()), VOCABULARY) - 1))
        offsets = pa.array(np.r_[0, lengths.cumsum()].astype(np.int32))
        return pa.table({"text": pc.binary_join(pa.ListArray.from_arrays(offsets, words), " "), "label": label})
    return pa.table(
        {
            "id": np.arange(count) + number * count,
            "price": draw.lognormal(3, 1, count).round(2),
            "size": draw.normal(size=count).round(6),
            "count": draw.poisson(20, count),
            "colour": pa.array(draw.choice(["red", "green", "blue", "yellow", "black"], count)),
            "town": vocabulary().take(pa.array(np.minimum(draw.zipf(1.5, count), 200) - 1)),
            "label": label,
        }
    )


def vocabulary() -> pa.Array:
    """Words of three to ten letters, the same each time."""
    draw = np.random.default_rng(0)
    letters = draw.choice(list("abcdefghijklmnopqrstuvwxyz"), (VOCABULARY, 10))
    return pa.array(
        ["".join(word[:length]) for word, length in zip(letters, draw.integers(3, 11, VOCABULARY), strict=True)]
    )


def prepared(kind: str, root: str, store_url: str, workers: int) -> dict[str, Any]:
    """Stage prepare's work as a run does it."""
    from infra.agreement import Work
    from infra.clusters import open_cluster
    from storage.manifests import read_manifest
    from storage.objects import open_store
    from tasks.frames.identity import identified
    from tasks.frames.prepare import prepare_dataset
    from tasks.sections import ClusterSection, DataSection

    section = DataSection.model_validate({"sources": [{"url": "*.csv"}], "root": root, "kind": kind})
    store, work = open_store(store_url), Work(code="tasks.frames.prepare:prepare_dataset", store=store_url)
    cluster = ClusterSection(workers=workers, memory_gib=1.5)
    dataset = prepare_dataset(
        section, identified(section), store, lambda: open_cluster(cluster, work=work), lambda event: None
    )
    meta = read_manifest(store, dataset).meta
    return {"rows": meta["rows_in"], "shards": len(meta["shards"]), "dataset": dataset}


if __name__ == "__main__":
    main()
