"""Turns of load on servers that are compared: what clients meet, and CPU time of the server's whole process tree a request.

The load comes from `wrk` (one thread) where that is installed, else from this process.
"""

import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import psutil
from handmade import serving
from load import loaded
from networks import NAME
from peers import tree

from storage.objects import ObjectStore
from tasks.service.keys import create_key

RATE = 1_000_000.0  # of the key: a limit that is kept, and never met
WRK = shutil.which("wrk")
FIGURES = ("requests_per_second", "latency_ms_p50", "latency_ms_p99", "cpu_us_per_request")
SCRIPT = """
local bodies, requests, at = {%s}, {}, 0
local headers = {%s}
function init(args)
  for number, body in ipairs(bodies) do requests[number] = wrk.format("POST", nil, headers, body) end
end
function request() at = at %% #requests + 1; return requests[at] end
function done(summary, latency, all)
  local e = summary.errors
  io.write(string.format('\\nJSON {"answers": %%d, "seconds": %%f, "p50": %%f, "p99": %%f, "refused": %%d, "broken": %%d}\\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    e.status, e.connect + e.read + e.write + e.timeout))
end
"""


@dataclass
class Side:
    """A server: where it predicts, its process, what clients must send along, and what its turns gave."""

    name: str
    url: str
    process: int
    headers: Mapping[str, str] = field(default_factory=dict)
    turns: list[dict[str, float]] = field(default_factory=list)

    def figures(self) -> dict[str, Any]:
        """The medians over all turns, the CPU of each, and what was not answered with 200 in any."""
        told: dict[str, Any] = {name: round(median(turn[name] for turn in self.turns), 2) for name in FIGURES}
        told["cpu_us_per_request_turns"] = [round(turn["cpu_us_per_request"], 1) for turn in self.turns]
        return {**told, "errors": sum(int(turn["errors"]) for turn in self.turns)}


@contextmanager
def ours(store: ObjectStore, folder: Path, capture: float, *options: str, name: str = NAME) -> Iterator[Side]:
    """Our service as it is meant to run: a key with a scope and a rate, validation, metrics, an access log in a file, and capture."""
    keys = folder / "keys.json"
    key = create_key(keys, [f"predict:{name}"], rate=RATE)
    options = ("--keys", str(keys), "--capture", str(capture), "--poll-seconds", "0.5", *options)
    with serving(store, folder, *options, name=name) as running:
        yield Side("ours", running.first_line["url"] + "/predict", running.process.pid, {"X-API-Key": key})


def cpu_seconds(process: int) -> float:
    """User and system time of a process and all below it."""
    total = 0.0
    for one in tree(process):
        try:
            times = one.cpu_times()
            total += times.user + times.system
        except psutil.NoSuchProcess:
            continue
    return total


def turn(side: Side, bodies: Sequence[Any], clients: int, seconds: float) -> dict[str, float]:
    """What `clients` connections meet in so many seconds. RuntimeError where ours refuses, or a peer mostly does."""
    before = cpu_seconds(side.process)
    met = (_wrk if WRK else _python)(side, bodies, clients, seconds)
    cpu, errors = cpu_seconds(side.process) - before, met["refused"] + met["broken"]
    answers = met["answers"] - met["refused"]
    if answers <= 0 or met["refused"] > answers or (side.name.startswith("ours") and errors):
        raise RuntimeError(f"{side.name}: found {answers:g} answers and {errors:g} errors, wanted answers alone")
    return {
        "requests_per_second": answers / met["seconds"],
        "latency_ms_p50": met["p50"],
        "latency_ms_p99": met["p99"],
        "cpu_us_per_request": cpu / answers * 1e6,
        "errors": errors,
    }


def take_turns(
    sides: Sequence[Side], bodies: Sequence[Any], clients: int, seconds: float, rounds: int
) -> Iterator[int]:
    """Each side in its turn, `rounds` times, after a short one that warms; the round's number after each round."""
    for side in sides:
        turn(side, bodies, clients, min(2.0, seconds))
    for number in range(rounds):
        for side in sides if number % 2 == 0 else reversed(sides):
            side.turns.append(turn(side, bodies, clients, seconds))
        yield number


def compared(sides: Sequence[Side]) -> dict[str, Any]:
    """The figures of all sides, and those of the first over each other's."""
    figures = {side.name: side.figures() for side in sides}
    first, *others = figures
    ratios = {
        other: {name: round(figures[first][name] / figures[other][name], 3) for name in FIGURES} for other in others
    }
    return {**figures, "ours_over": ratios}


def _wrk(side: Side, bodies: Sequence[Any], clients: int, seconds: float) -> dict[str, float]:
    texts = ", ".join(f"[==[{json.dumps(body)}]==]" for body in bodies)
    headers = {"Content-Type": "application/json", **side.headers}
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(SCRIPT % (texts, ", ".join(f'["{name}"]="{value}"' for name, value in headers.items())))
        script.flush()
        options = ["-t1", f"-c{clients}", f"-d{max(1, round(seconds))}s", "--timeout", "10s", "-s", script.name]
        ended = subprocess.run(
            [str(WRK), *options, side.url], capture_output=True, text=True, check=True, timeout=seconds + 60
        )
    return json.loads(ended.stdout.rpartition("JSON ")[2])


def _python(side: Side, bodies: Sequence[Any], clients: int, seconds: float) -> dict[str, float]:
    started = time.perf_counter()
    with loaded(side.url, bodies, clients, side.headers) as load:
        time.sleep(seconds)
    wall = time.perf_counter() - started
    cuts = quantiles([(answer.done - answer.sent) * 1e3 for answer in load.answers], n=100)
    broken = load.statuses[0]
    refused = len(load.answers) - broken - load.statuses[200]
    return {"answers": len(load.answers) - broken, "seconds": wall, "p50": cuts[49], "p99": cuts[98]} | {
        "refused": refused,
        "broken": broken,
    }
