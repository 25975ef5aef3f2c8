"""`python tests/benchmarks/bench_csv.py`: CSV → typed Parquet under a contract, beside readers that know of none.

One file of orders, about 100 bytes a row: whole and decimal numbers, short categories, some of them in quotation marks with the delimiter in
them, 1 % of the cells missing, one row in 2,000 with a cell that is no number or lies outside its range. Ours is all of stage prepare's work
on it: where its records lie, types, ranges, categories and missing values checked, refused rows with reason and origin, content hashes,
splits, statistics, Parquet. The others read the same types (the bad cells are named to them as missing) and write them as Parquet of the same
compression: pyarrow.csv, pandas and Dask dataframe. Each runs in a process of its own, on one thread, in turns, after a small file that
warms it; what is compared is CPU seconds of the work, imports left out. pandas and Dask run a second time with the same contract written out by hand: cells
read as texts, made numbers, held against ranges and categories, refused rows kept. One JSON line: MB of CSV per CPU second, and ours over
each.
`--mb` for another size, `--rounds`, `--shard-rows` for other shards than the configuration's default.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any
from uuid import uuid4

import numpy as np

BLOCK_BYTES = 64 << 20
BAD = ["n/k", "-7"]  # no number; a quantity that is out of its range
MISSING = ["", "NA"]
CITIES = ["Lisbon", "Porto", '"Paris, FR"', '"Paris, TX"', "Kraków", "Osaka", '"Frankfurt am Main, Hesse"', "Graz"]
STATES = ["open", "paid", "sent", "returned"]
CHANNELS = ["web", "shop", "phone", "partner", "app"]
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ARROW_NUM_THREADS"), "1")
BLOCK_ROWS = 50_000
TYPES = {
    "order": "integer", "second": "integer", "customer": "integer", "quantity": "integer", "price": "number",
    "discount": "number", "latitude": "number", "longitude": "number", "city": "category", "state": "category",
    "channel": "category", "label": "category",
}  # fmt: skip


def main() -> None:
    """Measure, and write the line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mb", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--shard-rows", type=int, default=0)
    parser.add_argument("--sides", nargs="+", default=[*SIDES], choices=[*SIDES])
    parser.add_argument("--side", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        print(json.dumps(measured(*arguments.side, arguments.shard_rows)))  # noqa: T201
        return
    with tempfile.TemporaryDirectory() as folder:
        told = compared(Path(folder), arguments.mb, arguments.rounds, arguments.sides, arguments.shard_rows)
    print(json.dumps(told))  # noqa: T201


def compared(folder: Path, mb: int, rounds: int, sides: Sequence[str], shard_rows: int) -> dict[str, Any]:
    """Each side in its turn, `rounds` times."""
    path = folder / "orders.csv"
    rows = write_orders(path, mb * 1_000_000)
    turns: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
    for number in range(rounds):
        for side in sides if number % 2 == 0 else reversed(sides):
            command = [sys.executable, __file__, "--shard-rows", str(shard_rows), "--side", side, str(path)]
            environment = {**os.environ, **ONE_THREAD, "MILLRACE_ROOT": str(folder / "root")}
            ended = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
            turns[side].append(json.loads(ended.stdout))
    size = path.stat().st_size
    speeds = {side: size / 1e6 / median(turn["cpu_seconds"] for turn in turns[side]) for side in sides}
    return {
        "mb": round(size / 1e6),
        "rows": rows,
        "mb_per_cpu_second": {side: round(speed, 1) for side, speed in speeds.items()},
        "ours_over": {side: round(speeds["ours"] / speeds[side], 2) for side in sides[1:]},
        **{side: turns[side][-1] for side in sides},
    }


def write_orders(path: Path, size: int) -> int:
    """Write at least `size` bytes, always the same; the number of rows."""
    random, rows = np.random.default_rng(6), 0
    with path.open("w") as file:
        file.write(",".join(TYPES) + "\n")
        while file.tell() < size:
            columns = _columns(random, rows)
            for cells in columns[2:-1]:
                cells[random.random(BLOCK_ROWS) < 0.01] = MISSING[rows // BLOCK_ROWS % 2]
            columns[3][random.random(BLOCK_ROWS) < 0.00025] = BAD[1]
            columns[4][random.random(BLOCK_ROWS) < 0.00025] = BAD[0]
            file.write("\n".join(map(",".join, zip(*columns, strict=True))) + "\n")
            rows += BLOCK_ROWS
    return rows


def _columns(random: np.random.Generator, first: int) -> list[Any]:
    count = BLOCK_ROWS
    numbers = [
        np.arange(first, first + count) + 10_000_000,
        1_700_000_000 + np.arange(first, first + count) * 3 + random.integers(0, 3, count),
        random.integers(0, 2_000_000, count),
        random.geometric(0.3, count),
        np.round(random.lognormal(3, 1, count), 2),
        np.round(random.random(count), 3),
        np.round(random.uniform(-60, 70, count), 6),
        np.round(random.uniform(-180, 180, count), 6),
    ]
    words = [
        np.array(CITIES)[random.geometric(0.2, count) % len(CITIES)],
        np.array(STATES)[random.integers(0, len(STATES), count)],
        np.array(CHANNELS)[random.integers(0, len(CHANNELS), count)],
        np.array(["no", "yes"])[(random.random(count) < 0.2).astype(int)],
    ]
    return [np.array(list(map(str, column)), dtype=object) for column in [*(n.tolist() for n in numbers), *words]]


def measured(side: str, path: str, shard_rows: int) -> dict[str, Any]:
    """What one side took in this process."""
    work = SIDES[side]
    with tempfile.TemporaryDirectory(dir=Path(path).parent) as folder:
        small = Path(folder) / "small.csv"
        write_orders(small, 1_000_000)
        work(small, Path(folder) / "small", shard_rows)()
        run = work(Path(path), Path(folder) / "large", shard_rows)
        cpu, wall = time.process_time(), time.perf_counter()
        told = run()
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        written = sum(file.stat().st_size for file in Path(folder, "large").rglob("*.parquet"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"cpu_seconds": cpu, "seconds": wall, "parquet_bytes": written, "peak_memory_bytes": peak, **told}


def ours(path: Path, folder: Path, shard_rows: int) -> Callable[[], dict[str, Any]]:
    """Survey, and every shard, one after the other."""
    import pyarrow as pa

    from storage.objects import open_store
    from tasks.frames.pieces import plan_group
    from tasks.frames.schema import Column, Schema
    from tasks.frames.shards import process_shard
    from tasks.frames.sources import find_groups
    from tasks.sections import DataSection

    pa.set_cpu_count(1)
    rules = contract()
    given = {"sources": [{"url": path.name}], "root": str(path.parent), "kind": "table", "columns": rules}
    more = {"shard_rows": shard_rows} if shard_rows else {}
    section = DataSection.model_validate({**given, **more})
    limits = [{**rule, "categories": tuple(rule["categories"])} if "categories" in rule else rule for rule in rules]
    schema = Schema(tuple(Column(**limit) for limit in limits))
    store = open_store(str(folder))

    def run() -> dict[str, Any]:
        pieces = [piece for group in find_groups(section) for piece in plan_group(section, group)]
        facts = [process_shard(section, schema, store, piece).facts for piece in pieces]
        rows_in, rows_out = (sum(one[name] for one in facts) for name in ("rows_in", "rows_out"))
        return {"shards": len(pieces), "rows_in": rows_in, "rows_out": rows_out}

    return run


def contract() -> list[dict[str, Any]]:
    """What each column must be."""
    more: dict[str, dict[str, Any]] = {
        "order": {"nullable": False},
        "quantity": {"minimum": 1, "maximum": 1000},
        "price": {"minimum": 0, "maximum": 1e6},
        "latitude": {"minimum": -90, "maximum": 90},
        "longitude": {"minimum": -180, "maximum": 180},
        "state": {"categories": STATES},
        "channel": {"categories": CHANNELS},
        "label": {"categories": ["no", "yes"], "nullable": False},
    }
    return [{"name": name, "type": kind, **more.get(name, {})} for name, kind in TYPES.items()]


def with_pyarrow(path: Path, folder: Path, _: int) -> Callable[[], dict[str, Any]]:
    """pyarrow.csv, block by block, into one file."""
    import pyarrow as pa
    import pyarrow.csv as arrow_csv
    import pyarrow.parquet as pq

    arrow = {"integer": pa.int64(), "number": pa.float64(), "category": pa.string()}
    options = arrow_csv.ConvertOptions(
        column_types={name: arrow[kind] for name, kind in TYPES.items()},
        null_values=[*MISSING, BAD[0]],
        strings_can_be_null=True,
    )
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)

    folder.mkdir()

    def run() -> dict[str, Any]:
        read = arrow_csv.ReadOptions(use_threads=False, block_size=16 << 20)
        reader, rows = arrow_csv.open_csv(path, read_options=read, convert_options=options), 0
        with pq.ParquetWriter(folder / "orders.parquet", reader.schema, compression="zstd") as writer:
            for batch in reader:
                writer.write_batch(batch)
                rows += batch.num_rows
        return {"rows_out": rows}

    return run


def with_pandas(path: Path, folder: Path, _: int) -> Callable[[], dict[str, Any]]:
    """pandas with types, in chunks: the whole need not fit in memory."""
    return _in_chunks(path, folder, pandas_types(), lambda frame: (frame, frame.iloc[:0]))


def with_pandas_contract(path: Path, folder: Path, _: int) -> Callable[[], dict[str, Any]]:
    """pandas with the same contract: what is refused goes to files of its own."""
    return _in_chunks(path, folder, pandas_texts(), pandas_checked)


def _in_chunks(path: Path, folder: Path, options: dict[str, Any], checked: Any) -> Callable[[], dict[str, Any]]:
    import pandas as pd

    folder.mkdir()

    def run() -> dict[str, Any]:
        rows = 0
        for number, frame in enumerate(pd.read_csv(path, chunksize=200_000, **options)):
            good, refused = checked(frame)
            good.to_parquet(folder / f"{number}.parquet", compression="zstd", index=False)
            if len(refused):
                refused.to_parquet(folder / f"{number}.refused.parquet", compression="zstd", index=False)
            rows += len(good)
        return {"rows_out": rows}

    return run


def pandas_types() -> dict[str, Any]:
    """Types; the bad cells that there are, are missing ones."""
    names = {"integer": "Int64", "number": "float64", "category": "str"}
    kinds = {name: names[kind] for name, kind in TYPES.items()}
    return {"dtype": kinds, "na_values": [*MISSING, BAD[0]], "keep_default_na": False}


def pandas_texts() -> dict[str, Any]:
    """Texts: nobody knows beforehand what is in the cells."""
    return {"dtype": "str", "na_values": MISSING, "keep_default_na": False}


def pandas_checked(texts: Any) -> tuple[Any, Any]:
    """Typed rows that keep the contract, and the others as they were."""
    import pandas as pd

    frame, bad = texts.copy(deep=False), np.zeros(len(texts), dtype=bool)
    for rule in contract():
        name, cells = rule["name"], texts[rule["name"]]
        if rule["type"] in ("integer", "number"):
            values = pd.to_numeric(cells, errors="coerce")
            bad |= (values.isna() & cells.notna()).to_numpy()
            outside = (values < rule.get("minimum", -np.inf)) | (values > rule.get("maximum", np.inf))
            bad |= outside.fillna(False).to_numpy(dtype=bool)
            frame[name] = values
        elif "categories" in rule:
            bad |= (cells.notna() & ~cells.isin(rule["categories"])).to_numpy()
        if not rule.get("nullable", True):
            bad |= cells.isna().to_numpy()
    whole = {name: "Int64" for name, kind in TYPES.items() if kind == "integer"}
    return frame[~bad].astype(whole), texts[bad]


def with_dask(path: Path, folder: Path, _: int) -> Callable[[], dict[str, Any]]:
    """Dask dataframe with types, one block after the other in this process."""
    import dask
    import dask.dataframe as dd

    def run() -> dict[str, Any]:
        with dask.config.set(scheduler="synchronous"):
            frame = dd.read_csv(path, blocksize=BLOCK_BYTES, **pandas_types())
            frame.to_parquet(folder, compression="zstd", write_index=False)
        return {}

    return run


def with_dask_contract(path: Path, folder: Path, _: int) -> Callable[[], dict[str, Any]]:
    """Dask dataframe with the same contract: each block is checked and written where it lies."""
    import dask
    import dask.dataframe as dd

    folder.mkdir()

    def kept(frame: Any) -> Any:
        good, refused = pandas_checked(frame)
        name = f"{frame.index[0]}-{uuid4().hex}"
        good.to_parquet(folder / f"{name}.parquet", compression="zstd", index=False)
        refused.to_parquet(folder / f"{name}.refused.parquet", compression="zstd", index=False)
        return frame.iloc[:1].assign(rows=len(good))[["rows"]]

    def run() -> dict[str, Any]:
        with dask.config.set(scheduler="synchronous"):
            frame = dd.read_csv(path, blocksize=BLOCK_BYTES, **pandas_texts())
            return {"rows_out": int(frame.map_partitions(kept, meta={"rows": "int64"})["rows"].sum().compute())}

    return run


SIDES = {
    "ours": ours,
    "pyarrow": with_pyarrow,
    "pandas": with_pandas,
    "pandas, same contract": with_pandas_contract,
    "dask": with_dask,
    "dask, same contract": with_dask_contract,
}

if __name__ == "__main__":
    main()
