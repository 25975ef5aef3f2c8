"""Ten minutes of requests that are nearly right, drawn from a seed: python tests/fuzz/fuzz_tensors.py [SECONDS] [SEED]

Each begins as a good request and is changed by a few mutations. A request may be read or refused; another exception, or more memory than a
few times the body, is a fault: it is printed with what leads there again, and ends the run. A line of JSON at the end says what was seen.
"""

import json
import random
import re
import resource
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tensor_orders import good_orders, iris_and_digits, mutated, read

CORPUS = 2000  # requests with refusals not seen before; later mutations begin at these too


def fuzz(seconds: float, seed: int) -> dict[str, float]:
    """The figures; what is not a Refusal is raised, after the request is printed."""
    choose = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        models = iris_and_digits(Path(folder))
    good, corpus, seen, cases = good_orders(), good_orders(), Counter[str](), 0
    before, end = _megabytes(), time.monotonic() + seconds
    while time.monotonic() < end:
        body, length = mutated(choose, *choose.choice(choose.choice([good, corpus])))
        model = choose.randrange(len(models))
        try:
            kind = _kind(read(models[model], body, length))
        except BaseException:
            sys.stderr.write(f"case {cases} of seed {seed}, model {model}: {body!r} {length!r}\n")
            raise
        if kind not in seen and len(corpus) < CORPUS and len(body) < 4096:
            corpus.append((body, length or b"%d" % len(body)))
        seen[kind] += 1
        cases += 1
    grown = _megabytes() - before
    return {"cases": cases, "read": seen["read"], "kinds": len(seen), "corpus": len(corpus), "grown_mib": round(grown)}


def _kind(message: str) -> str:
    """The message without what the request chose."""
    return re.sub(r"'[^']*'|[^a-z ]", "", message)[:60]


def _megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    arguments = [float(text) for text in sys.argv[1:]]
    wanted, seed = (*arguments, *(600.0, 0.0)[len(arguments) :])
    sys.stdout.write(json.dumps({"seconds": wanted, "seed": seed, **fuzz(wanted, int(seed))}) + "\n")
