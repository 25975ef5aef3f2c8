"""Rows of a language model as tokens, and what general compressors make of its text, which a model is held against."""

import bz2
import lzma
import zlib

import numpy as np
import pyarrow as pa

from storage.manifests import Manifest
from storage.objects import ObjectStore
from tasks.frames.arrow import pc
from tasks.frames.raw import DOCUMENT
from tasks.frames.tokens import BATCH, passages
from tasks.transforms.tokens import TokenInput

COMPRESSED_BYTES = 24 << 20  # of a split's text, at most, for the compressors that a model is held against


def token_arrays(tokens: TokenInput, table: pa.Table) -> dict[str, np.ndarray]:
    """`x`: the tokens of all passages, one after the other, uint16 where all ids fit, else int32; `y` (N, 4) int64: as
    `tasks.transforms.windows` wants the rows.
    """
    ids, counts, words = [np.empty(0, tokens.stored_dtype)], list[int](), list[int]()
    for batch in table.select([tokens.name]).to_batches(max_chunksize=BATCH):
        texts = batch.column(0).to_pylist()
        found = tokens.encode(texts)
        ids += found
        counts += map(len, found)
        words += map(count_words, texts)
    sizes = pc.binary_length(table.column(tokens.name)).to_numpy()
    documents = np.array([int(value, 16) for value in table.column(DOCUMENT).to_pylist()], np.uint64)
    return {
        "x": np.concatenate(ids),
        "y": np.column_stack([counts, sizes, words, documents.view(np.int64)]).astype(np.int64),
    }


def count_words(text: str) -> int:
    """Words between white space; each end of a line counts as one."""
    return len(text.split()) + text.count("\n")


def compressed_sizes(store: ObjectStore, manifest: Manifest) -> dict[str, float]:
    """`compressors` on the test text and the training text, as far as they are not too long for it."""
    return compressors(*(_beginning(store, manifest, split) for split in ("test", "train")))


def compressors(test: bytes, train: bytes) -> dict[str, float]:
    """Bits per byte that general compressors need for the test text as one stream: what a language model is worth, it is worth beside them.

    The last one has read the training text before, as the model has (a window of xz -9 is 64 MiB; gzip's is 32 KiB, so that it would forget).
    """
    after = len(lzma.compress(train + test, preset=9)) - len(lzma.compress(train, preset=9))
    sizes = {
        "gzip -9": len(zlib.compress(test, 9)),
        "bzip2 -9": len(bz2.compress(test, 9)),
        "xz -9": len(lzma.compress(test, preset=9)),
        "xz -9 after the training text": after,
    }
    return {name: round(8 * size / len(test), 4) for name, size in sizes.items()}


def _beginning(store: ObjectStore, manifest: Manifest, split: str) -> bytes:
    parts, size = list[bytes](), 0
    for batch in passages(store, manifest, split):
        parts += [text.encode() for text, _ in batch]
        size += sum(map(len, parts[-len(batch) :]))
        if size >= COMPRESSED_BYTES:
            break
    return b"".join(parts)
