"""`python tests/benchmarks/bench_serving.py`: our service beside Flask's development server, LitServe and BentoML, under 64 clients.

The same network (`small`: 64→512→512→10, `wide`: 64→2048→2048→2048→10; seeded) in ONNX Runtime on one thread behind each; the same requests of
one 8×8 image. Ours asks for a key with a scope and a rate, checks each item, counts metrics, logs each request to a file and captures `--capture` of
them; the peers do none of that, except that Flask logs. Turns alternate. One JSON line: medians of requests/s, ms at p50 and p99, and CPU
microseconds a request over each server's whole process tree; `ours_over`: ratios; `ideal`: CPU microseconds a row of the bare forward of 64 rows.
`ours` has a process a core, as it is by default; `ours_1_worker` one, so that it sees all clients' rows.

The first run installs the peers, each in an environment of its own in `--peers`.
"""

import argparse
import contextlib
import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

HERE = Path(__file__).resolve()
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parents[2])]

from networks import MAXIMUM, MODELS, artifact, bare_cpu_us_per_row, images, released  # noqa: E402
from peers import default_folder, environment_of, first_answer, peer  # noqa: E402
from turns import WRK, Side, compared, ours, take_turns  # noqa: E402

PEERS = {
    "flask": ("flask", 1),
    "litserve": ("litserve", 1),
    "litserve_2_workers": ("litserve", 2),
    "bentoml": ("bentoml", 1),
}


def main() -> None:
    """Measure, and write the line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, default=default_folder(), help="folder of the peers' environments")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--sides", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=6.0, help="of a turn")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--capture", type=float, default=0.1, help="share of requests that ours keeps")
    arguments = parser.parse_args()
    for side in arguments.sides:
        environment_of(arguments.peers, PEERS[side][0])
    began = time.perf_counter()
    line: dict[str, Any] = {"benchmark": "serving", "clients": arguments.clients, "seconds": arguments.seconds}
    line |= {"rounds": arguments.rounds, "capture": arguments.capture, "load": "wrk" if WRK else "python"}
    for model in arguments.models:
        with tempfile.TemporaryDirectory() as name:
            line[model] = measure(Path(name), model, arguments)
    print(json.dumps({**line, "total_seconds": round(time.perf_counter() - began, 1)}))  # noqa: T201


def measure(folder: Path, model: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """The figures of all sides for one network."""
    rows = images(64, seed=1)
    store = released(folder, artifact(model), images(9))
    onnx, bodies = folder / "made/model.onnx", [{"input_data": [row]} for row in rows[:16]]
    x = np.asarray(rows, np.float32)[:, None] / np.float32(MAXIMUM)
    ideals: list[float] = []
    with contextlib.ExitStack() as stack:
        sides = [stack.enter_context(ours(store, folder, arguments.capture))]
        alone = stack.enter_context(ours(store, made(folder / "alone"), arguments.capture, "--workers", "1"))
        sides.append(replace(alone, name="ours_1_worker"))
        for name in arguments.sides:
            kind, workers = PEERS[name]
            running = peer(arguments.peers, kind, folder, workers, PEER_MODEL=str(onnx))
            sides.append(Side(name, *stack.enter_context(running)))
        check_that_all_answer_alike(sides, bodies)
        for _ in take_turns(sides, bodies, arguments.clients, arguments.seconds, arguments.rounds):
            ideals.append(bare_cpu_us_per_row(onnx, x, min(1.0, arguments.seconds)))
    figures = compared(sides)
    ideal = median(ideals)
    over = {side: round(figures[side]["cpu_us_per_request"] / ideal, 3) for side in ("ours", "ours_1_worker")}
    return {**figures, "ideal_cpu_us_per_row": round(ideal, 2), "over_ideal": over}


def made(folder: Path) -> Path:
    """The folder, new."""
    folder.mkdir()
    return folder


def check_that_all_answer_alike(sides: list[Side], bodies: list[Any]) -> None:
    """RuntimeError where a side predicts otherwise than the first does."""
    for body in bodies:
        wanted, *found = [first_answer(side.url, body, side.headers, side.process) for side in sides]
        for side, answer in zip(sides[1:], found, strict=True):
            if answer != wanted:
                raise RuntimeError(f"{side.name}: found the predictions {answer}, wanted {wanted}")


if __name__ == "__main__":
    main()
