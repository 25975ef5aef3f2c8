"""`python tests/benchmarks/bench_tokens.py`: text to committed tokens, tokens per CPU-second, beside `encode_batch_fast` of the tokenizers library.

Real text of this machine (its Python, its packages, its documentation), each file's content once, cut into passages of 4 KB at most; a vocabulary
of 32,000 fitted on a part of it. Ours: Parquet (zstd) read → token arrays, with what bits per byte are counted from → blobs in a store. The library's:
its encoding alone, of texts that are in memory already. Both in one thread, part by part in turns; the ids must be the same. `--mb` for less text.
One JSON line: `ratio` is ours to the library's, tokens per CPU-second of the same parts; `lowest_ratio`: of the worst eighth of the parts.
"""

import argparse
import io
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve()
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parents[2]), str(HERE.parent)]
os.environ |= {
    "RAYON_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "OMP_NUM_THREADS": "1",
    "ARROW_NUM_THREADS": "1",
}

import numpy as np  # noqa: E402
import pyarrow as pa  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402
from handmade_lm import tokenizer_json, tokens_of  # noqa: E402
from real_text import documents  # noqa: E402
from tokenizers import Tokenizer  # noqa: E402

from storage.blobs import put_blob  # noqa: E402
from storage.objects import ObjectStore, open_store  # noqa: E402
from tasks.frames.documents import passages  # noqa: E402
from tasks.frames.raw import DOCUMENT  # noqa: E402
from tasks.frames.windows import token_arrays  # noqa: E402
from tasks.transforms.tokens import TokenInput  # noqa: E402

PART_BYTES = 8 << 20
FITTED_BYTES = 20 << 20
VOCABULARY = 32_000


def main() -> None:
    """Measure, and write the line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mb", type=int, default=300)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MILLRACE_ROOT"] = str(Path(folder, "root"))
        print(json.dumps(measure(Path(folder), arguments.mb * 1_000_000)))  # noqa: T201


def measure(folder: Path, most: int) -> dict[str, Any]:
    """All figures, from so many bytes of text."""
    texts = documents(most)
    content = tokenizer_json(texts[:: max(1, sum(map(len, texts)) // FITTED_BYTES)], VOCABULARY)
    tokens, library = tokens_of(content), Tokenizer.from_str(content.decode())
    store, parts = open_store(str(folder / "store")), write_parts(folder, texts)
    size = sum(len(text.encode()) for text in texts)
    warm(tokens, library)
    seconds, counts = np.zeros((len(parts), 2)), []
    for number, part in enumerate(parts):
        column = pq.read_table(part).column("text").to_pylist()
        for side in (0, 1) if number % 2 else (1, 0):
            began = time.process_time()
            if side == 0:
                ours = committed(tokens, store, part)
            else:
                theirs = library.encode_batch_fast(column, add_special_tokens=False)
            seconds[number, side] = time.process_time() - began
        same = np.array_equal(ours, np.concatenate([np.array(one.ids, np.int64) for one in theirs]))
        if not same:
            raise SystemExit(f"part {number}: other ids than the library's")
        counts.append(len(ours))
    rates, ratios = sum(counts) / seconds.sum(axis=0), np.sort(seconds[:, 1] / seconds[:, 0])
    return {
        "distinct_bytes": size,
        "files": len(texts),
        "tokens": sum(counts),
        "same_ids": True,
        "ours_mtok_per_cpu_second": round(rates[0] / 1e6, 3),
        "ours_mb_per_cpu_second": round(size / seconds[:, 0].sum() / 1e6, 2),
        "library_mtok_per_cpu_second": round(rates[1] / 1e6, 3),
        "ratio": round(rates[0] / rates[1], 2),
        "lowest_ratio": round(float(ratios[len(ratios) // 8]), 2),
    }


def write_parts(folder: Path, texts: list[str]) -> list[Path]:
    """Parquet files of passages, each of some megabytes."""
    written, rows, size = list[Path](), list[tuple[str, str]](), 0
    for number, text in enumerate(texts, 1):
        rows += [(passage.decode(), f"{number:016x}") for passage in passages(io.BytesIO(text.encode()), 4096)]
        size += len(text)
        if size >= PART_BYTES or number == len(texts):
            names, columns = ("text", DOCUMENT), zip(*rows, strict=True)
            table = pa.table({name: pa.array(values) for name, values in zip(names, columns, strict=True)})
            written.append(folder / f"{len(written):05d}.parquet")
            pq.write_table(table, written[-1], compression="zstd")
            rows, size = [], 0
    return written


def warm(tokens: TokenInput, library: Tokenizer) -> None:
    """Both have begun: what is compiled at the first text is."""
    tokens.encode(["a b"])
    library.encode_batch_fast(["a b"])


def committed(tokens: TokenInput, store: ObjectStore, part: Path) -> np.ndarray:
    """The part's tokens, once they and their offsets are in the store."""
    arrays = token_arrays(tokens, pq.read_table(part))
    for array in arrays.values():
        np.save(content := io.BytesIO(), array)
        put_blob(store, content.getvalue(), ".npy")
    return arrays["x"]


if __name__ == "__main__":
    main()
