"""Stage prepare on a Dask cluster whose processes are killed at drawn moments while they work: what was hit, and what came out of it."""

import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from commands import environment
from killed import ROLES

from storage.blobs import read_blob
from storage.manifests import read_manifest
from storage.objects import ObjectStore, open_store

WORK = ("prepare", "encode")  # what is done on the cluster
WHOM = {"worker": 8, "scheduler": 1, "run": 1}  # so many of ten
STARTS, RUN_SECONDS = 8, 300.0
BUSY_LOOKS, BUSY_SECONDS = 3, 0.01
FAR_APART_SECONDS = 0.2
PROGRAM = """
import json, sys
from flows.prepare_data import prepare_data
from flows.settings import load_config
from tasks.progress import listen

events = open(sys.argv[2], "w", buffering=1)
listen(lambda event: events.write(json.dumps(event, default=str) + "\\n"))
prepared = prepare_data(config=load_config(sys.argv[1]))
print(json.dumps({"dataset": prepared.dataset.digest, "features": prepared.features.digest}))
"""


@dataclass(frozen=True)
class Rows:
    """So many CSV files of so many rows, some of which are refused."""

    folder: Path
    files: int
    rows: int
    shard_rows: int

    def write(self) -> None:
        """The same each time."""
        self.folder.mkdir(parents=True)
        for number in range(self.files):
            draw = np.random.default_rng(number)
            sizes, colours = draw.normal(size=self.rows), draw.choice(["red", "blue", "green"], self.rows)
            lines = [f"{x:.6f},{c},{'yes' if x > 0 else 'no'}" for x, c in zip(sizes, colours, strict=True)]
            lines[number % self.rows], lines[-1] = "ragged", f"word,{colours[0]},no"
            (self.folder / f"{number:03d}.csv").write_text("size,colour,label\n" + "\n".join(lines) + "\n")

    @property
    def shards(self) -> int:
        return self.files * -(-self.rows // self.shard_rows)

    def config(self, store: Path) -> dict[str, Any]:
        data = {"sources": [{"url": "*.csv"}], "root": str(self.folder), "kind": "table", "shard_rows": self.shard_rows}
        columns = [{"name": "size", "type": "number"}]
        sections = {"data": {**data, "columns": columns}, "train": {"family": "mlp"}, "storage": {"url": str(store)}}
        return {"name": "rows", **sections, "cluster": {"workers": 2, "memory_gib": 1.0}}


@dataclass(frozen=True)
class Kill:
    """Whom, after how many shards of both steps, and how much later."""

    whom: str
    shards: int
    delay: float


@dataclass
class Trial:
    """What became of one seed. `kills`: those that landed in mid-work; `faults`: what did not hold."""

    seed: int
    kills: list[dict[str, Any]] = field(default_factory=list)
    missed: int = 0
    starts: int = 0
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0
    wanted: str = ""

    def line(self) -> str:
        """The trial as a line of the log."""
        return json.dumps(asdict(self))


def drawn(seed: int, count: int, shards: int) -> list[Kill]:
    """So many moments over both steps, in order."""
    draw = random.Random(seed)
    moments = sorted(draw.randrange(2 * shards) for _ in range(count))
    whom = draw.choices(list(WHOM), list(WHOM.values()), k=count)
    return [Kill(*one, round(draw.uniform(0, 0.5), 3)) for one in zip(whom, moments, strict=True)]


def undisturbed(home: Path, rows: Rows, settings: Mapping[str, str]) -> dict[str, str]:
    """The digests of a run that nobody disturbs."""
    run = _Run(home, rows, settings)
    code, digests = run.end()
    assert code == 0, (home / "run.log").read_text()[-3000:]
    assert wrong_origins(open_store(str(home / "store")), digests["dataset"], rows) == []
    return digests


def tried(
    seed: int, kills: Sequence[Kill], home: Path, rows: Rows, settings: Mapping[str, str], wanted: Mapping[str, str]
) -> Trial:
    """Prepare the rows and kill as is told, starting again what was ended by it; held to what an undisturbed run gives."""
    trial, began, left = Trial(seed), time.monotonic(), list(kills)
    code, digests = 1, {}
    while code != 0 and trial.starts < STARTS:
        trial.starts += 1
        run = _Run(home, rows, settings)
        while left and (landed := run.kill(left[0])) is not None:
            trial.kills.append(landed)
            left.pop(0)
        code, digests = run.end()
    trial.missed, trial.seconds = len(left), round(time.monotonic() - began, 1)
    if code != 0:
        trial.faults.append(f"ended with {code} after {trial.starts} starts: {(home / 'run.log').read_text()[-1500:]}")
        return trial
    trial.faults += [
        f"{name}: found {digests[name]}, wanted {wanted[name]}" for name in wanted if digests[name] != wanted[name]
    ]
    trial.faults += wrong_origins(open_store(str(home / "store")), digests["dataset"], rows)
    return trial


def wrong_origins(store: ObjectStore, dataset: str, rows: Rows) -> list[str]:
    """Rows of the files that the data set does not hold exactly once, among its rows or in quarantine; and those that no file has."""
    found: dict[str, list[np.ndarray]] = {}
    for name, blob in read_manifest(store, dataset).files.items():
        if name.startswith(("rows/", "quarantine/")):
            table = pq.read_table(pa.BufferReader(read_blob(store, blob)), columns=["_file", "_row"])
            files, numbers = np.array(table.column("_file").to_pylist()), table.column("_row").to_numpy()
            for file in np.unique(files):
                found.setdefault(str(file), []).append(numbers[files == file])
    wanted = [f"{number:03d}.csv" for number in range(rows.files)]
    faults = [f"origin {file}: found in the data set, wanted none" for file in sorted(found.keys() - set(wanted))]
    for file in wanted:
        counts = np.bincount(np.concatenate(found.get(file, [np.zeros(0, np.int64)])), minlength=rows.rows + 1)
        once = np.r_[0, np.ones(rows.rows, np.int64)]
        if not np.array_equal(counts, once):
            place = int(np.flatnonzero(counts != np.pad(once, (0, len(counts) - len(once))))[0])
            faults.append(
                f"origin {file} row {place}: found {counts[place]} times, wanted {int(0 < place <= rows.rows)}"
            )
    return faults


class _Run:
    """Stage prepare in a process of its own, its events in a file."""

    def __init__(self, home: Path, rows: Rows, settings: Mapping[str, str]) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self._shards, self._events = rows.shards, home / "events.jsonl"
        self._events.unlink(missing_ok=True)
        (home / "run.json").write_text(json.dumps(rows.config(home / "store")))
        with (home / "run.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, "run.json", self._events.name],
                cwd=home,
                env=environment(home / "root", **settings),
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self._end = time.monotonic() + RUN_SECONDS

    def kill(self, kill: Kill) -> dict[str, Any] | None:
        """Kill as soon as the moment is there and work goes on; where it landed, None where the run ended before."""
        while self._process.poll() is None and time.monotonic() < self._end:
            stage, done = self._where()
            if stage in WORK and done < self._shards and WORK.index(stage) * self._shards + done >= kill.shards:
                time.sleep(kill.delay)
                if landed := self._killed(kill.whom):
                    time.sleep(FAR_APART_SECONDS)
                    return landed
            time.sleep(0.02)
        return None

    def end(self) -> tuple[int, dict[str, str]]:
        """The exit code, and the digests where it is 0."""
        try:
            out, _ = self._process.communicate(timeout=max(1.0, self._end - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._process.kill()
            out, _ = self._process.communicate()
        return self._process.returncode, json.loads(out) if self._process.returncode == 0 else {}

    def _killed(self, whom: str) -> dict[str, Any] | None:
        """SIGKILL for one of those, if a worker (for a worker: this one) computes at this very moment."""
        stage, done = self._where()
        workers = {pid: name for pid, name in self._family() if name == "worker"}
        busy = [pid for pid in workers if _is_busy(pid)]
        victims = busy if whom == "worker" else [pid for pid, name in self._family() if name == whom]
        if not busy or not victims or stage not in WORK or done >= self._shards:
            return None
        try:
            psutil.Process(victims[0]).kill()
        except psutil.NoSuchProcess:
            return None
        return {"whom": whom, "stage": stage, "done": done, "total": self._shards}

    def _family(self) -> Iterator[tuple[int, str]]:
        """The run's processes that matter, by what they are."""
        yield self._process.pid, "run"
        try:
            processes = psutil.Process(self._process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return
        for process in processes:
            for name in ("scheduler", "worker"):
                try:
                    if ROLES[name](process):
                        yield process.pid, name
                except psutil.Error:
                    continue

    def _where(self) -> tuple[str, int]:
        """The stage that told last how far it is, and how many of its shards are done."""
        try:
            events = [json.loads(line) for line in self._events.read_text().splitlines() if line.endswith("}")]
        except (OSError, ValueError):
            return "", 0
        told = [event for event in events if event["stage"] in WORK and "done" in event]
        return (told[-1]["stage"], told[-1]["done"]) if told else ("", 0)


def _is_busy(pid: int) -> bool:
    """Whether the process is at work: at several looks, one after the other, one of its threads has a processor or asks for one."""
    for _ in range(BUSY_LOOKS):
        if not _states(pid) & {"R", "D"}:
            return False
        time.sleep(BUSY_SECONDS)
    return True


def _states(pid: int) -> set[str]:
    """The states of its threads, proc(5)."""
    try:
        return {path.read_text().rpartition(")")[2].split()[0] for path in Path(f"/proc/{pid}/task").glob("*/stat")}
    except OSError:
        return set()
