"""`python tests/benchmarks/bench_swaps.py`: 100 moves of aliases under load: promotions, canaries, rollbacks, and new keys meanwhile.

One JSON line: requests, those that failed, and answers by a version that was neither champion nor canary within the two seconds before the request
was sent, nor until it was answered (by the registry's times): both must be 0, else the exit code is 1. Milliseconds from a move to the service that
serves it, at the median and the greatest; `--moves`, `--clients`.
"""

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from statistics import median, quantiles
from typing import Any

HERE = Path(__file__).resolve()
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parents[2])]

from handmade import ITEMS, iris_store, serving  # noqa: E402
from load import loaded  # noqa: E402
from swapping import GRACE_SECONDS, Swaps, by_strangers, failed  # noqa: E402
from turns import RATE  # noqa: E402

from tasks.service.keys import create_key  # noqa: E402

BODIES = [{"input_data": [item]} for item in ITEMS]


def main() -> int:
    """Move, write the line; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moves", type=int, default=100)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--capture", type=float, default=0.1, help="share of requests that is kept")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        line = measure(Path(name), arguments)
    print(json.dumps({"benchmark": "swaps", "clients": arguments.clients, **line}))  # noqa: T201
    return 1 if line["failed"] or line["by_strangers"] else 0


def measure(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """All figures."""
    store, registry = iris_store(folder, versions=2)
    keys = folder / "keys.json"
    headers = {"X-API-Key": create_key(keys, ["predict:iris", "metrics"], rate=RATE)}
    options = ("--keys", str(keys), "--capture", str(arguments.capture), "--poll-seconds", "0.5")
    started = time.perf_counter()
    with (
        serving(store, folder, *options) as service,
        loaded(service.first_line["url"] + "/predict", BODIES, arguments.clients, headers) as load,
    ):
        swaps = Swaps(registry, "iris", service, load, keys)
        moves = swaps.run(arguments.moves)
    seconds, answers = time.perf_counter() - started, list(load.answers)
    right = [answer for answer in answers if answer.status == 200]
    return {
        "moves": moves,
        "key_rotations": swaps.rotations,
        "requests": len(answers),
        "failed": len(failed(answers)),
        "failed_by_status": dict(Counter(answer.status for answer in failed(answers))),
        "by_strangers": len(list(by_strangers(answers, registry.history("iris")))),
        "grace_seconds": GRACE_SECONDS,
        "answers_by_version": dict(Counter(answer.body["version"] for answer in right)),
        "latency_ms_p99": round(quantiles([(one.done - one.sent) * 1e3 for one in right], n=100)[98], 2),
        "follows_ms_median": round(median(swaps.waits_ms), 1),
        "follows_ms_greatest": round(max(swaps.waits_ms), 1),
        "requests_per_second": round(len(answers) / seconds, 1),
        "total_seconds": round(seconds, 1),
    }


if __name__ == "__main__":
    sys.exit(main())
