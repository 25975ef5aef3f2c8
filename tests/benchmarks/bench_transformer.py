"""`python tests/benchmarks/bench_transformer.py`: our service with a transformer in int8 beside Flask over torch with the same module in float32.

About ten million weights from a seed (our own family: 10 blocks of width 256, texts of at most 64 words), exported and quantised by the project's own
code (`--mode`). Ours has keys, checks, metrics, access log and capture on; the peer, Flask's development server, has torch's eager module on one
thread, and cuts each batch to its longest text, which an exported graph does not. The same texts of 8 to 64 words to both, in turns. One JSON line: medians
of requests/s, ms, and CPU microseconds a request over whole process trees, ratios, and the share of texts that both put into the same class.

The first run installs Flask into an environment of its own in `--peers`, which borrows the project's torch.
"""

import argparse
import contextlib
import json
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).resolve()
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parents[2])]

from handmade import write_files  # noqa: E402
from networks import bare_cpu_us_per_row, released  # noqa: E402
from peers import default_folder, environment_of, first_answer, peer  # noqa: E402
from text_network import NAME, artifact, features, texts  # noqa: E402
from turns import WRK, Side, compared, ours, take_turns  # noqa: E402

LEAST_AGREEMENT = 0.9  # of texts; random weights leave some of them between two classes


def main() -> None:
    """Measure, and write the line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, default=default_folder(), help="folder of the peers' environments")
    parser.add_argument("--mode", choices=("weights", "dynamic", "static"), default="dynamic", help="of int8")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=15.0, help="of a turn")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--capture", type=float, default=0.1, help="share of requests that ours keeps")
    arguments = parser.parse_args()
    environment_of(arguments.peers, "flask_torch")
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        line = measure(Path(name), arguments)
    shown = {name: getattr(arguments, name) for name in ("mode", "clients", "seconds", "rounds", "capture")}
    line = {"benchmark": "transformer", "load": "wrk" if WRK else "python", **shown, **line}
    print(json.dumps({**line, "total_seconds": round(time.perf_counter() - began, 1)}))  # noqa: T201


def measure(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """The figures of both sides."""
    sentences = texts(64)
    files, weights = artifact(arguments.mode)
    store = released(folder, files, sentences[:9], NAME)
    write_files({**files, "weights.safetensors": weights}, folder / "peer")
    bodies = [{"input_data": [text]} for text in sentences]
    ids_NT = features(files, sentences)
    ideals: list[float] = []
    with contextlib.ExitStack() as stack:
        sides = [stack.enter_context(ours(store, folder, arguments.capture, name=NAME))]
        running = peer(arguments.peers, "flask_torch", folder, PEER_FOLDER=str(folder / "peer"))
        sides.append(Side("flask_torch", *stack.enter_context(running)))
        agreement = agreeing(sides, bodies)
        for _ in take_turns(sides, bodies, arguments.clients, arguments.seconds, arguments.rounds):
            ideals.append(bare_cpu_us_per_row(folder / "made/model.onnx", ids_NT, min(1.0, arguments.seconds)))
    figures, ideal = compared(sides), median(ideals)
    sizes = {"model_bytes": len(files["model.onnx"]), "float32_bytes": len(weights)}
    over = round(figures["ours"]["cpu_us_per_request"] / ideal, 3)
    return {
        **figures,
        "ideal_cpu_us_per_row": round(ideal, 1),
        "ours_over_ideal": over,
        "agreement": agreement,
        **sizes,
    }


def agreeing(sides: list[Side], bodies: list[Any]) -> float:
    """The share of requests that both answer alike; RuntimeError below `LEAST_AGREEMENT`."""
    one, other = ([first_answer(side.url, body, side.headers, side.process) for body in bodies] for side in sides)
    share = sum(first == second for first, second in zip(one, other, strict=True)) / len(bodies)
    if share < LEAST_AGREEMENT:
        raise RuntimeError(f"the sides agree on {share:.0%} of the texts, wanted {LEAST_AGREEMENT:.0%}")
    return round(share, 3)


if __name__ == "__main__":
    main()
