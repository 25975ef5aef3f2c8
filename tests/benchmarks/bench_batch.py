"""`python tests/benchmarks/bench_batch.py`: rows per CPU-second of `millrace predict --batch`, beside a plain loop in one process.

Adult-like rows from a seed (6 columns of numbers, 8 of categories) in Parquet files, and a small network, released. The loop is what one would
write by hand: read → check and transform → runtime → write, a batch at a time; it has the same transforms and the same runtime, and neither store,
cache, quarantine nor cluster. `items`: the same loop with each row checked by itself, as a client's items are. One JSON line: CPU-seconds of whole process
trees, without start-up, which is a run of its own over one row each; `ratio`: ours to the loop's, rows per CPU-second; `warm`: a second run,
which finds everything. `--rows`, `--files`, `--workers` for other sizes.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

HERE = Path(__file__).resolve()
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parents[2])]
BATCH_ROWS = 20_000
POLL_SECONDS = 0.02


def main() -> None:
    """Measure, and write the line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--files", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=1, help="of which the quickest counts, of each side")
    parser.add_argument("--items", action="store_true", help="measure the loop over items, too, which takes long")
    parser.add_argument("--loop", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.loop:
        loop(*arguments.loop)
        return
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(Path(folder), arguments)))  # noqa: T201


def measure(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """All figures, from so many rows in so many files."""
    from adult_like import release_adult, write_rows

    os.environ["MILLRACE_ROOT"] = str(folder / "root")
    write_rows(folder / "rows", arguments.rows, arguments.files)
    write_rows(folder / "one", 1, 1)
    release_adult(str(folder / "store"))
    measured: dict[str, Any] = {"rows": arguments.rows, "files": arguments.files}
    run("batch", folder, "one", "first")  # compiles, and reads its own code, once in a data root
    kinds = ["batch", "loop", *(["items"] if arguments.items else [])]
    for kind in kinds:
        start = _best(kind, folder, "one", arguments.rounds)
        whole = _best(kind, folder, "rows", arguments.rounds)
        work = max(0.01, whole["cpu_seconds"] - start["cpu_seconds"])  # few rows take no time that can be told
        measured[kind] = {
            "rows_per_cpu_second": round(arguments.rows / work),
            "cpu_seconds": round(work, 2),
            "wall_seconds": round(whole["wall_seconds"], 2),
            "start_cpu_seconds": round(start["cpu_seconds"], 2),
            "start_wall_seconds": round(start["wall_seconds"], 2),
        }
    again = run("batch", folder, "rows", "again")
    measured["warm"] = {name: round(value, 2) for name, value in again.items()}
    for kind in kinds[1:]:
        ratio = measured["batch"]["rows_per_cpu_second"] / measured[kind]["rows_per_cpu_second"]
        measured[f"ratio_to_{kind}"] = round(ratio, 2)
    return measured


def _best(kind: str, folder: Path, rows: str, rounds: int) -> dict[str, float]:
    """The round of the least CPU; each predicts anew."""
    return min((run(kind, folder, rows, f"{round}") for round in range(rounds)), key=lambda one: one["cpu_seconds"])


def run(kind: str, folder: Path, rows: str, label: str) -> dict[str, float]:
    """One run in processes of its own: seconds of the clock, and of the processor, of the whole tree."""
    output = folder / f"{kind}-{rows}-{label}"
    if kind == "batch":
        store = folder / "store"
        if label != "again":  # what was predicted before is to be predicted again
            subprocess.run(["rm", "-rf", str(store / "shards")], check=True)
        command = [sys.executable, "-m", "flows.cli", "predict", "adult", "--storage", str(store), "--batch"]
        command += [str(folder / rows), "--output", str(output), "--keep", "id"]
    else:
        command = [sys.executable, str(HERE), "--loop", kind, str(folder / "store"), str(folder / rows), str(output)]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[2]), "OMP_NUM_THREADS": "1"}
    started = time.perf_counter()
    process = psutil.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    used: dict[int, float] = {}
    while process.poll() is None:
        used |= _used(process)
        time.sleep(POLL_SECONDS)
    if process.returncode:
        raise SystemExit(f"{command} ended with {process.returncode}")
    return {"wall_seconds": time.perf_counter() - started, "cpu_seconds": sum(used.values())}


def _used(process: psutil.Process) -> dict[int, float]:
    """Processor seconds of each process of the tree so far: those of workers that are killed at the end nobody is told by the system."""
    used = {}
    with contextlib.suppress(psutil.Error):
        for one in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                times = one.cpu_times()
                used[one.pid] = times.user + times.system
    return used


def loop(kind: str, store_url: str, source: str, output: str) -> None:
    """What one would write by hand."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from storage.objects import open_store
    from storage.registry import open_registry
    from tasks.batch.reading import Rows
    from tasks.inference.releases import open_release

    _, predictor, _ = open_release(open_store(store_url), open_registry(store_url), "adult", "champion")
    names = list(predictor.transforms.input.columns)
    Path(output).mkdir()
    for path in sorted(Path(source).iterdir()):
        schema = pa.schema([("id", pa.int64()), ("prediction", pa.string())])
        with pq.ParquetWriter(Path(output, path.name), schema, compression="zstd") as writer:
            for batch in pq.ParquetFile(path).iter_batches(BATCH_ROWS, columns=["id", *names]):
                table = pa.Table.from_batches([batch])
                if kind == "items":
                    columns = predictor.parse(table.select(names).to_pylist())
                else:
                    rows = Rows(table)
                    columns = predictor.transforms.sift({name: rows.values(name, {}) for name in names}).columns
                predictions, _ = predictor.predict(columns)
                writer.write_table(pa.table([table.column("id"), pa.array(predictions)], schema=schema))


if __name__ == "__main__":
    main()
