"""The whole chain, killed: how a run is started, ended at a moment that is drawn from a seed, and what must hold after it."""

import hashlib
import json
import os
import random
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from commands import COMMAND, ROOT, Ended, environment

from storage.objects import ObjectStore, open_store
from storage.records import attempts, read_record

MARK = "SOAK_MARK"
POINTS = Path(__file__).parent / "kill_points"
NOT_COMPARED = "measure"  # what it finds differs from time to time, and so do the keys of those that take it in:
ITS_HEIRS = ("choose", "judge")
RUN_SECONDS, END_SECONDS = 300.0, 20.0
CONFIG = """
name: mushrooms
data: {{root: "{root}", format: csv, kind: table, target: edible, sources: [{{url: "in/*.csv"}}], test_share: 0.3, validation_share: 0.2, shard_rows: 100}}
train: {{family: mlp, mlp: {{hidden: [64, 64]}}, epochs: 3, batch_size: 32, learning_rate: 0.02, checkpoint_every_steps: 4}}
compress: {{recipes: [{{name: small, passes: [{{kind: prune, share: 0.25}}, {{kind: distil, epochs: 2, learning_rate: 0.01}}, {{kind: quantise, calibration_rows: 32}}]}}]}}
evaluate: {{resamples: 200, margin: 0.15, minimum: 0.7, max_slowdown: 100}}
cluster: {{workers: 2}}
"""


def write_rows(folder: Path) -> None:
    """Mushrooms in three files of two shards each: large brown ones are edible. The same each time."""
    draw = random.Random(0)
    (folder / "in").mkdir(parents=True)
    for name in ("one.csv", "two.csv", "three.csv"):
        made = [(round(draw.uniform(1, 30), 2), draw.choice(["red", "brown"])) for _ in range(200)]
        lines = [f"{size},{colour},{'yes' if colour == 'brown' and size > 12 else 'no'}" for size, colour in made]
        (folder / "in" / name).write_text("\n".join(["size_cm,colour,edible", *lines]) + "\n")


@dataclass
class Run:
    """A `millrace run` in a folder of its own. `settings`: added to its environment; `home`: what it keeps, its store too, unless
    `shared` is one."""

    home: Path
    rows: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    shared: Path | None = None
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)

    def start(self, stop: Mapping[str, Any] | None = None) -> subprocess.Popen[str]:
        """Start the command; `stop`: name and number of the point at which it is stopped, and `whom` that kills."""
        self.points.mkdir(parents=True)
        (self.home / "run.yaml").write_text(CONFIG.format(root=self.rows))
        if stop:
            (self.points / "stop.json").write_text(json.dumps(dict(stop)))
        watched = {"PYTHONPATH": f"{POINTS}{os.pathsep}{ROOT}", "SOAK_POINTS": str(self.points), MARK: self.mark}
        signal.signal(
            signal.SIGINT, signal.default_int_handler
        )  # what a shell starts in its background is deaf to Ctrl-C
        self.began = time.monotonic()
        self.command = subprocess.Popen(
            [*COMMAND, "run", "--config", "run.yaml", "--json", "--storage", self.store.url],
            cwd=self.home,
            env=environment(self.home / ".millrace", **watched, **self.settings),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        return self.command

    @property
    def points(self) -> Path:
        """Where the points that were passed are written down."""
        return self.home / "points" / self.mark

    def passed(self) -> list[dict[str, Any]]:
        """The points that were passed, in order: name and number."""
        file = self.points / "points.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def end(self) -> Ended:
        """How the command ended; killed with all that it started where it does not."""
        try:
            out, err = self.command.communicate(timeout=RUN_SECONDS)
        except subprocess.TimeoutExpired:
            for process in self.processes():
                process.kill()
            out, err = self.command.communicate()
            err += f"\nno end after {RUN_SECONDS:.0f} s"
        return Ended(self.command.returncode, out, err)

    def processes(self) -> list[psutil.Process]:
        """All processes that live and were started by this run."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get(MARK) == self.mark and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except (psutil.Error, OSError):
                continue
        return found

    def orphans(self) -> list[str]:
        """What still runs some seconds after the command's end; ended here."""
        end = time.monotonic() + END_SECONDS
        while (left := self.processes()) and time.monotonic() < end:
            time.sleep(0.1)
        names = [f"{process.pid} {' '.join(_command(process))[:160]}" for process in left]
        for process in left:
            process.kill()
        return names

    @property
    def store(self) -> ObjectStore:
        """The run's store, a folder."""
        return open_store(str(self.shared or self.home / ".millrace" / "store"))


def finished(home: Path, rows: Path, settings: Mapping[str, str]) -> tuple[Run, Ended]:
    """A run that nobody disturbs, and how it ended."""
    run = Run(home, rows, settings)
    run.start()
    return run, run.end()


ROLES: dict[str, Callable[[psutil.Process], bool]] = {
    "command": lambda process: "flows.cli" in _command(process),
    "flow": lambda process: "flows.by_hand" in _command(process),
    "scheduler": lambda process: "infra.local_cluster" in _command(process),
    "worker": lambda process: _forked(process) and _forked(process.parent()),
    "trainer": lambda process: "tasks.nn.trainer" in _command(process),
    "compressor": lambda process: "tasks.nn.compressor" in _command(process),
    "parity": lambda process: "tasks.inference.parity" in _command(process),
    "service": lambda process: "tasks.service" in _command(process),
    "server": lambda process: "prefect.server.api.server:create_app" in _command(process),
}


def in_role(run: Run, role: str) -> psutil.Process | None:
    """The first living process of the run in that role."""
    for process in run.processes():
        try:
            if ROLES[role](process):
                return process
        except psutil.Error:
            continue
    return None


def kill_from_outside(run: Run, role: str, delay: float, interrupt: bool = False) -> bool:
    """Wait until the run has a process of that role, then `delay` seconds, then kill it; False where it had ended by itself before."""
    process = None
    while process is None:
        if run.command.poll() is not None:
            return False
        process = in_role(run, role)
        time.sleep(0.01)
    time.sleep(delay)
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        if interrupt:
            os.killpg(process.pid, signal.SIGINT)
        else:
            process.kill()
    except (psutil.Error, ProcessLookupError):
        return False
    return True


def outputs(store: ObjectStore, summary: Mapping[str, Any]) -> dict[str, str]:
    """Each step's key and its output's digest, and the digest of what serves, as far as they are the same for every run."""
    found = {}
    for step in summary["steps"]:
        if step["name"] != NOT_COMPARED:
            made = attempts(store, step["key"])
            record = read_record(store, step["key"], made[-1]) if made else None
            key = "" if step["name"] in ITS_HEIRS else step["key"][:16]
            found[step["name"]] = f"{key} {record.output.digest if record else 'no record'}"
    return {**found, "serves": summary["release"]["digest"]}


def records(store: ObjectStore) -> dict[str, bytes]:
    """All step records, by where they lie."""
    return {key: store.get(key) for key, _ in store.list("steps/")}


def damage(store: ObjectStore) -> list[str]:
    """Blobs and manifests that are not what their names say, and half-written objects."""
    folder = Path(store.url)
    files = [path for part in ("blobs", "manifests") for path in (folder / part).rglob("*") if path.is_file()]
    wrong = [path.name for path in files if "#" not in path.name and _digest(path) != path.name.partition(".")[0]]
    return [f"not what its name says: {name}" for name in wrong]


def collected(run: Run) -> list[str]:
    """Have `millrace gc` collect in the run's store, all of which is made old; what it leaves of what a killed run left there."""
    store, old = Path(run.store.url), time.time() - 2 * 3600
    for path in store.rglob("*"):
        os.utime(path, (old, old))
    home = environment(run.home / ".millrace")
    command = [*COMMAND, "gc", "--delete", "--grace", "1", "--storage", str(store)]
    ended = subprocess.run(command, cwd=run.home, env=home, capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        return [f"gc ended with {ended.returncode}: {ended.stderr[-1500:]}"]
    found = [*store.rglob("*#*"), *(store / "probes").glob("*"), *(store / "leases").rglob("*.json")]
    return [f"not collected: {path.relative_to(store)}" for path in found]


def left_over(run: Run) -> list[str]:
    """Temporary files in the data root; what a store has of them is for `millrace gc`."""
    root = run.home / ".millrace"
    files = [path for path in (root / "work").rglob("*") if path.is_file() or path.is_socket()]
    files += [path for path in root.rglob("tmp*") if path.is_file()]
    return sorted({str(path.relative_to(root)) for path in files})


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _forked(process: psutil.Process | None) -> bool:
    return process is not None and "multiprocessing.forkserver" in " ".join(_command(process))


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
