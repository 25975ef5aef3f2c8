"""The same as fuzz_tensors.py, led by coverage: needs https://github.com/google/atheris, which the project does not install.

python tests/fuzz/fuzz_tensors_by_coverage.py -max_total_time=600 -rss_limit_mb=1024 CORPUS_FOLDER; the other options are libFuzzer's.
The first two bytes of a case are the length of its JSON; a request may be read or refused, any other exception ends the run.
"""

import random
import struct
import sys
import tempfile
from pathlib import Path

import atheris  # pyright: ignore[reportMissingImports]

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

with atheris.instrument_imports(include=["tasks.service.protocols", "tasks.service.items"]):
    from tensor_orders import good_orders, iris_and_digits, mutated, read

HEAD = struct.Struct("<H")
FOLDER = tempfile.TemporaryDirectory()
MODELS = iris_and_digits(Path(FOLDER.name))


def one(case: bytes) -> None:
    """Read the case with both models."""
    if len(case) >= HEAD.size:
        for model in MODELS:
            read(model, case[HEAD.size :], b"%d" % HEAD.unpack_from(case))


def mutate(case: bytes, most: int, seed: int) -> bytes:
    """By our own mutations, or libFuzzer's; from time to time a good request instead."""
    choose = random.Random(seed)
    if len(case) < HEAD.size or choose.random() < 0.05:
        return _packed(*choose.choice(good_orders()))
    if choose.random() < 0.5:
        return atheris.Mutate(case, most)
    return _packed(*mutated(choose, case[HEAD.size :], b"%d" % HEAD.unpack_from(case)))[:most]


def _packed(body: bytes, length: bytes | None) -> bytes:
    return HEAD.pack(min(int(length or b"0"), 65_535)) + body


if __name__ == "__main__":
    corpus = Path(sys.argv[-1])
    if corpus.is_dir():
        for number, (body, length) in enumerate(good_orders()):
            (corpus / f"good-{number}").write_bytes(_packed(body, length))
    atheris.Setup(sys.argv, one, custom_mutator=mutate)
    atheris.Fuzz()
