"""`python tests/benchmarks/bench_dask.py`: shards on our Dask cluster, beside the same work on a bare pool of processes.

The same `Work` over the same batches of the same CSV files, each time into an empty store, in turns: on `open_cluster` and `spread`, and on
`concurrent.futures.ProcessPoolExecutor`, whose workers are forked from a server that has everything loaded. Counted is the processor time of
all processes from beginning to end: Python's start, imports, scheduler, workers. One JSON line: seconds of each, their ratio (wanted: at most
1.15), and how long a task took. `--rows` in each of `--files` files (defaults: tasks of five seconds or more), `--turns`, `--workers`,
`--folder` for the files (default: the system's for temporary ones).
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from process_tree import cost_of, this

WANTED = 1.15
SHARD_ROWS = 20_000


def main() -> None:
    """Measure, and write the line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=16)
    parser.add_argument("--rows", type=int, default=800_000)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", default=None)
    parser.add_argument("--side", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        side, folder, store, workers = arguments.side
        sys.stdout.write(json.dumps(prepared(side, Path(folder), store, int(workers))) + "\n")
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        write(Path(folder) / "in", arguments.files, arguments.rows)
        line = measured(Path(folder), arguments.turns, arguments.workers)
    sys.stdout.write(json.dumps({"benchmark": "dask", "wanted": WANTED, **line}) + "\n")


def write(folder: Path, files: int, rows: int) -> None:
    """Tables of five columns, the same each time."""
    folder.mkdir()
    for number in range(files):
        draw = np.random.default_rng(number)
        columns = [draw.normal(size=rows), draw.integers(0, 999, rows), draw.random(rows) * 1e6]
        words, labels = draw.choice(["red", "green", "blue", "yellow"], rows), draw.choice(["yes", "no"], rows)
        lines = [
            f"{a:.6f},{b},{c:.2f},{word},{label}" for a, b, c, word, label in zip(*columns, words, labels, strict=True)
        ]
        (folder / f"{number:04d}.csv").write_text("a,b,c,colour,label\n" + "\n".join(lines) + "\n")


def measured(folder: Path, turns: int, workers: int) -> dict[str, Any]:
    """Both sides in turns, each time in a process and a store of its own."""
    environment = {**os.environ, "MILLRACE_ROOT": str(folder / "root"), "OMP_NUM_THREADS": "1"}
    seconds: dict[str, list[float]] = {"dask": [], "pool": []}
    told: dict[str, dict[str, Any]] = {}
    for turn in range(turns):
        for side in ("dask", "pool") if turn % 2 else ("pool", "dask"):
            store = folder / f"{side}-{turn}"
            cost = cost_of(this("--side", side, folder / "in", store, workers), environment)
            seconds[side].append(cost.cpu_seconds)
            told[side] = cost.said
            _remove(store)
    assert told["dask"]["digests"] == told["pool"]["digests"], "the two sides made something else"
    ratios = [ours / theirs for ours, theirs in zip(seconds["dask"], seconds["pool"], strict=True)]
    return {
        "dask_cpu_seconds": round(median(seconds["dask"]), 2),
        "pool_cpu_seconds": round(median(seconds["pool"]), 2),
        "ratio": round(median(ratios), 3),
        "ratios": [round(ratio, 3) for ratio in ratios],
        **{name: told["pool"][name] for name in ("tasks", "task_seconds", "shards")},
    }


def prepared(side: str, folder: Path, store_url: str, workers: int) -> dict[str, Any]:
    """The shards of the files, made by one side."""
    from storage.objects import open_store
    from tasks.frames.identity import identified
    from tasks.frames.planning import make_plan, processing
    from tasks.frames.shelved import make_batches
    from tasks.sections import DataSection

    given = {"sources": [{"url": "*.csv"}], "root": str(folder), "kind": "table", "shard_rows": SHARD_ROWS}
    section, store = DataSection.model_validate(given), open_store(store_url)
    with {"dask": on_dask, "pool": on_pool}[side](workers, store_url) as spread:
        plan = make_plan(section, identified(section), store, spread, lambda event: None)
        work, batches = processing(plan, store), make_batches(plan.pieces)
        began, results = time.perf_counter(), {}
        for index, result in spread("shard", work, batches):
            results[index] = [one.blobs["rows"].digest for one in result]
        seconds = (time.perf_counter() - began) * workers / len(batches)
    digests = [digest for index in sorted(results) for digest in results[index]]
    return {
        "tasks": len(batches),
        "shards": len(plan.pieces),
        "task_seconds": round(seconds, 2),
        "digests": digests,
    }


Spread = Callable[[str, Callable[[Any], Any], Sequence[Any]], Iterator[tuple[int, Any]]]


@contextmanager
def on_dask(workers: int, store_url: str) -> Iterator[Spread]:
    """As stage prepare does it."""
    from infra.agreement import Work
    from infra.clusters import open_cluster
    from tasks.frames.crews import crew
    from tasks.sections import ClusterSection

    work = Work(code="tasks.frames.prepare:prepare_dataset", store=store_url)
    section = ClusterSection(workers=workers)
    with crew(lambda: open_cluster(section, work=work), lambda batches: False) as spread:
        yield spread


@contextmanager
def on_pool(workers: int, store_url: str) -> Iterator[Spread]:
    """As one would do it by hand: workers forked from a server that has all libraries, results as they come."""
    from concurrent.futures import ProcessPoolExecutor, as_completed
    from multiprocessing import get_context

    context = get_context("forkserver")
    context.set_forkserver_preload(["tasks.frames.prepare"])
    with ProcessPoolExecutor(workers, mp_context=context) as pool:

        def spread(_name: str, function: Callable[[Any], Any], batches: Sequence[Any]) -> Iterator[tuple[int, Any]]:
            futures = {pool.submit(function, batch): index for index, batch in enumerate(batches)}
            for future in as_completed(futures):
                yield futures[future], future.result()

        yield spread


def _remove(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
