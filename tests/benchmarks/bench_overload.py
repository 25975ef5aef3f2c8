"""`python tests/benchmarks/bench_overload.py`: four times the load that our service can answer, for five minutes.

A transformer of ten million weights in int8 (`--model wide`: 8.5 million in layers, of which one core of a sender in Python cannot send four times as
many as another answers), with keys, metrics, access log and capture. First the peak: 64 connections in a closed loop; then an open loop at
`--times` that rate over `--connections`, by a sender that has a core to itself (the last), while the service has the others. One JSON line: the peak, goodput (answers
with 200 a second) and its share of the peak, statuses, milliseconds to an answer and to a refusal, and resident memory of the whole process tree
with its slope; and a plot (`--plot`). What is started on one core alone shares it.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from typing import Any
from urllib.parse import urlsplit

HERE = Path(__file__).resolve()
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parents[2])]

import networks  # noqa: E402
import numpy as np  # noqa: E402
import psutil  # noqa: E402
import text_network  # noqa: E402
from networks import released  # noqa: E402
from peers import first_answer, tree  # noqa: E402
from turns import Side, ours  # noqa: E402

SETTLES = 0.1  # share of the time at the beginning that the slope of the memory leaves out


def main() -> None:
    """Measure, draw, and write the line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--peak-seconds", type=float, default=15.0)
    parser.add_argument("--times", type=float, default=4.0, help="the load, in peaks")
    parser.add_argument(
        "--connections", type=int, default=2000, help="of the open loop: so many requests may wait at a time"
    )
    parser.add_argument("--model", choices=("small", "wide", "transformer"), default="transformer")
    parser.add_argument("--capture", type=float, default=0.1, help="share of requests that is kept")
    parser.add_argument("--plot", metavar="FILE", type=Path, help="draw a PNG there")
    arguments = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[:-1] or cores)  # the service inherits it, and has a worker for each
    with tempfile.TemporaryDirectory() as name:
        line, series = measure(Path(name), arguments, cores)
    if arguments.plot:
        draw(series, line, arguments.plot)
    print(json.dumps(line))  # noqa: T201


def measure(folder: Path, arguments: argparse.Namespace, cores: list[int]) -> tuple[dict[str, Any], list[Any]]:
    """The line, and by the second what was answered and how much memory there was."""
    name, files, items = named(arguments.model)
    store = released(folder, files, items[:9], name)
    bodies = [{"input_data": [item]} for item in items]
    with ours(store, folder, arguments.capture, name=name) as side:
        first_answer(side.url, bodies[0], side.headers, side.process)
        order = {"bodies": bodies, "headers": dict(side.headers), "cores": cores[-1:]}
        closed = {**order, "rate": 0, "connections": 64}
        list(sent(folder, side, {**closed, "seconds": min(2.0, arguments.peak_seconds)}))  # warms
        at_peak = [
            one["per_second"].get("200", 0.0) for one, _ in _seconds(folder, side, closed, arguments.peak_seconds)
        ]
        peak = fmean(at_peak)
        opened = {
            **order,
            "rate": arguments.times * peak,
            "connections": arguments.connections,
            "seconds": arguments.seconds,
        }
        told = list(sent(folder, side, opened))
        *series, (end, _) = told
        last = first_answer(side.url, bodies[0], side.headers, side.process)
    return {
        "benchmark": "overload",
        "model": arguments.model,
        "loop": "open",
        "capture": arguments.capture,
        "server_cores": len(cores[:-1] or cores),
        "seconds": arguments.seconds,
        "peak_per_second": round(peak, 1),
        "answers_again_afterwards": len(last) == 1,
        **_figures(series, end, arguments.seconds, peak),
    }, series


def named(model: str) -> tuple[str, dict[str, bytes], list[Any]]:
    """A model's name, the files of its artifact, and 16 items for it."""
    if model == "transformer":
        return text_network.NAME, text_network.artifact("dynamic")[0], text_network.texts(16, seed=1)
    return networks.NAME, networks.artifact(model), networks.images(16, seed=1)


def _figures(series: list[Any], end: dict[str, Any], seconds: float, peak: float) -> dict[str, Any]:
    statuses = {int(status): count for status, count in end["statuses"].items()}
    goodput = statuses.get(200, 0) / seconds
    by_second = [one["per_second"].get("200", 0.0) for one, _ in series]
    memory = np.array([[one["at"], mib] for one, mib in series if one["at"] >= SETTLES * seconds])
    slope = float(np.polyfit(memory[:, 0] / 60, memory[:, 1], 1)[0]) if len(memory) > 1 else 0.0
    return {
        "offered_per_second": round((sum(statuses.values()) + end["unsent"]) / seconds, 1),
        "sent_over_peak": round(sum(statuses.values()) / seconds / peak, 2),
        "goodput_per_second": round(goodput, 1),
        "goodput_over_peak": round(goodput / peak, 3),
        "goodput_per_second_p10": round(float(np.quantile(by_second, 0.1)), 1),
        "goodput_per_second_least": round(min(by_second), 1),
        "statuses": statuses,
        "unsent": end["unsent"],
        "connections": end["connections"],
        "latency_ms": end["latency_ms"],
        "sender_lag_ms_p99": round(end["sender_lag_ms_p99"], 2),
        "resident_mib_first": round(memory[0, 1], 1),
        "resident_mib_last": round(memory[-1, 1], 1),
        "resident_mib_per_minute": round(slope, 2),
    }


def _seconds(folder: Path, side: Side, order: dict[str, Any], seconds: float) -> list[Any]:
    """What the sender told each second."""
    return list(sent(folder, side, {**order, "seconds": seconds}))[:-1]


def sent(folder: Path, side: Side, order: dict[str, Any]) -> Iterator[tuple[dict[str, Any], float]]:
    """Each line of a sender, with the service's resident mebibytes at that moment."""
    place, path = urlsplit(side.url), folder / "order.json"
    path.write_text(json.dumps({**order, "host": place.hostname, "port": place.port, "path": place.path}))
    command = [sys.executable, str(HERE.with_name("open_loop.py")), str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            yield json.loads(line), resident_mib(side.process)
    if process.returncode:
        raise RuntimeError(f"the sender ended with {process.returncode}")
    time.sleep(0.5)  # what it left in the queue is dropped or answered


def resident_mib(process: int) -> float:
    """Of a process and all below it."""
    total = 0
    for one in tree(process):
        try:
            total += one.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total / 2**20


def draw(series: list[Any], line: dict[str, Any], path: Path) -> None:
    """Answers and refusals by the second, and memory below them."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    at = [one["at"] for one, _ in series]
    figure, (above, below) = pyplot.subplots(2, 1, sharex=True, figsize=(9, 6), height_ratios=(2, 1))
    for status in sorted({status for one, _ in series for status in one["per_second"]}):
        name = {"200": "answered", "0": "broken"}.get(status, f"refused, {status}")
        above.plot(at, [one["per_second"].get(status, 0.0) for one, _ in series], label=name)
    above.axhline(line["peak_per_second"], color="grey", linestyle="--", label="peak without overload")
    above.set(ylabel="requests/s", ylim=(0, None), title=f"{line['sent_over_peak']:g} × the peak, open loop")
    above.legend(loc="center right")
    mebibytes = [mib for _, mib in series]
    below.plot(at, mebibytes, color="tab:green")
    below.set(xlabel="seconds", ylabel="resident MiB", ylim=(0, 1.1 * max(mebibytes)))
    figure.savefig(path, dpi=120, bbox_inches="tight")


if __name__ == "__main__":
    main()
