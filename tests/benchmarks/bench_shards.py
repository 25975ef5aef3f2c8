"""`python tests/benchmarks/bench_shards.py`: what many small shards cost, and what one more costs.

CSV files of 20 rows, one a shard: prepared, fitted and encoded on a local Dask cluster, then with nothing changed, then with one file added
under the transforms of the first run. One JSON line for each number of shards: seconds of each step and of looking at every shard (what a plan
does where the step itself is no hit), and the greatest memory of the process; the same of `millrace plan` where nothing has changed since
stage prepare was run. `--s3 s3://bucket/prefix` for sources and store (credentials and endpoint from the environment);
`--shards 100 1000` for other numbers.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any
from uuid import uuid4

ROWS = 20
PHASES = ("first", "unchanged", "one_added")
PLANS = 3
PREPARE = """
import sys
from flows.prepare_data import prepare_data
from flows.settings import load_config
prepare_data(config=load_config(sys.argv[1]))
"""


def main() -> None:
    """Measure, and write the lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=int, nargs="+", default=[100, 1000, 10_000])
    parser.add_argument("--s3", default="", help="s3://bucket/prefix")
    parser.add_argument("--phase", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.phase:
        print(json.dumps(phase(*arguments.phase)))  # noqa: T201
        return
    for count in arguments.shards:
        with tempfile.TemporaryDirectory() as folder:
            place = f"{arguments.s3.rstrip('/')}/{uuid4().hex}" if arguments.s3 else folder
            print(json.dumps(measure(count, place, Path(folder))), flush=True)  # noqa: T201


def measure(count: int, place: str, folder: Path) -> dict[str, Any]:
    """All phases for so many shards, each in a process of its own."""
    write_files(place, range(count))
    measured: dict[str, Any] = {"shards": count, "store": "s3" if "://" in place else "local"}
    environment = {**os.environ, "MILLRACE_ROOT": str(folder / "root")}
    transforms = "-"
    for name in PHASES:
        if name == "one_added":
            measured["plan"] = planned(count, place, folder, environment)
            write_files(place, range(count, count + 1))
        command = [sys.executable, __file__, "--phase", name, place, transforms]
        told = json.loads(
            subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
        )
        transforms = told.pop("transforms")
        measured[name] = told
    return measured


def planned(count: int, place: str, folder: Path, environment: dict[str, str]) -> dict[str, Any]:
    """Whole processes of `millrace plan` after stage prepare: seconds, the median of three, and the greatest memory."""
    config = folder / "shards.yaml"
    data = {"sources": [{"url": "*.csv"}], "root": f"{place}/in", "kind": "table"}
    sections = {"data": data, "train": {"family": "mlp"}, "storage": {"url": f"{place}/store"}}
    config.write_text(json.dumps({"name": "shards", **sections}))
    prepare = [sys.executable, "-c", PREPARE, str(config)]
    subprocess.run(prepare, env=environment, check=True, stderr=subprocess.PIPE)
    seconds, memory = [], 0
    for _ in range(PLANS):
        started, told = time.perf_counter(), folder / "plan.json"
        with told.open("w") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "flows.cli", "plan", "--config", str(config), "--json"],
                env=environment,
                stdout=file,
            )
            _, status, used = os.wait4(process.pid, 0)
        seconds.append(time.perf_counter() - started)
        memory = max(memory, used.ru_maxrss * 1024)
        steps = {step["name"]: step for step in json.loads(told.read_text())["steps"]}
        assert status == 0
        assert [steps[name]["state"] for name in ("prepare", "fit", "encode")] == ["HIT"] * 3
        assert steps["prepare"]["shards"]["known"] == steps["encode"]["shards"]["known"] == count
    return {"plan_seconds": round(median(seconds), 2), "peak_memory_bytes": memory}


def write_files(place: str, numbers: range) -> None:
    """The files of those numbers, always with the same content."""
    import fsspec

    fs, path = fsspec.core.url_to_fs(place, **({"use_listings_cache": False} if "://" in place else {}))
    "://" in place or fs.makedirs(f"{path}/in", exist_ok=True)
    contents = {f"{path}/in/{number:05d}.csv": _content(number) for number in numbers}
    for start in range(0, len(contents), 500):
        fs.pipe(dict(list(contents.items())[start : start + 500]))


def _content(number: int) -> bytes:
    lines = [f"{(number * ROWS + row) % 97},{row * 0.5},{'ab'[(number + row) % 2]}" for row in range(ROWS)]
    return ("x,y,label\n" + "\n".join(lines) + "\n").encode()


def phase(name: str, place: str, transforms: str) -> dict[str, Any]:
    """The seconds of each step in this process, and what was known."""
    from infra.clusters import open_cluster
    from storage.manifests import put_files
    from storage.objects import open_store
    from tasks.frames import encoding
    from tasks.frames.crews import crew
    from tasks.frames.fitting import fit_transforms
    from tasks.frames.identity import identified, source_identity
    from tasks.frames.pinned import check_pinned
    from tasks.frames.prepare import prepare_dataset
    from tasks.frames.states import shard_states
    from tasks.sections import ClusterSection, DataSection, TransformsSection

    data = DataSection.model_validate({"sources": [{"url": "*.csv"}], "root": f"{place}/in", "kind": "table"})
    store, told, events = open_store(f"{place}/store"), dict[str, Any](), list[dict[str, Any]]()

    def clusters() -> Any:
        return open_cluster(ClusterSection())

    with timed(told, "look_seconds"):
        states = shard_states(data, source_identity(data), store, 0.0)
    with timed(told, "prepare_seconds"):
        dataset = prepare_dataset(data, identified(data), store, clusters, events.append, alone=True)
    with timed(told, "fit_seconds"):
        if name == "first":
            transforms = put_files(store, "transforms", fit_transforms(TransformsSection(), store, dataset), {})
        else:
            check_pinned(store, transforms, dataset)
    with timed(told, "encode_seconds"), crew(clusters, encoding.is_little) as spread:
        encoding.encode(store, dataset, transforms, spread, events.append)
    said = [event["event"] for event in events if "event" in event]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    looked = f"{states.known} known, {states.missing} missing, {states.undecided} undecided"
    return {**told, "looked": looked, "known": said, "peak_memory_bytes": memory, "transforms": transforms}


@contextmanager
def timed(told: dict[str, Any], name: str) -> Iterator[None]:
    """The seconds of the block, to two digits."""
    started = time.perf_counter()
    yield
    told[name] = round(time.perf_counter() - started, 2)


if __name__ == "__main__":
    main()
