"""64 bits for each row by its values, whatever file it came from: what splits and duplicates go by. Stable for ever.

A row is a message of 64-bit words: which cells are missing (a bit each, 64 columns a word), then a word for each column in order: a whole
number as it is, a number as IEEE 754, of a text, image or recording the first 8 bytes of BLAKE2b, 0 where it is missing. The hash is XXH64
of that message (https://github.com/Cyan4973/xxHash, doc/xxhash_spec.md), computed for all rows at once. It is no defence against somebody
who makes rows that collide; of a hundred million different rows, two have the same hash with a chance of 1 in 3,700.
"""

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa

from tasks.frames.schema import ARRAYS, Schema

P1, P2, P3, P4, P5 = map(
    np.uint64, (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5)
)
WORD, LANES = 8, 4  # bytes of a word; words of a stripe
AT_ONCE = 4096  # rows: what is worked on stays near the processor


def content_hashes(schema: Schema, rows: pa.Table) -> np.ndarray:
    """(N,) uint64: the hash of each row by its typed values in column order, without its origin."""
    columns = [_one(rows.column(column.name)) for column in schema.columns]
    words = [_words(values, column.type) for values, column in zip(columns, schema.columns, strict=True)]
    return xxh64([*_missing(columns, rows.num_rows), *words], rows.num_rows)


def xxh64(words: Sequence[np.ndarray], count: int, seed: int = 0) -> np.ndarray:
    """(count,) uint64: XXH64 of `count` messages. `words`: the first 64 bits of each message, the second, and so on."""
    start = np.uint64(seed % 2**64)
    hashes = np.empty(count, np.uint64)
    with np.errstate(over="ignore"):
        for first in range(0, count, AT_ONCE):
            some = slice(first, first + AT_ONCE)
            hashes[some] = _hashed([word[some] for word in words], len(hashes[some]), start)
    return hashes


def _hashed(words: Sequence[np.ndarray], count: int, start: np.uint64) -> np.ndarray:
    whole = len(words) // LANES * LANES
    hashes = _stripes(words[:whole], start) if whole else np.full(count, start + P5)
    hashes += np.uint64(WORD * len(words))
    for word in words[whole:]:
        hashes ^= _round(word * P2)
        hashes = _rotated(hashes, 27)
        hashes *= P1
        hashes += P4
    for shift, factor in ((33, P2), (29, P3)):
        hashes ^= hashes >> np.uint64(shift)
        hashes *= factor
    hashes ^= hashes >> np.uint64(32)
    return hashes


def _stripes(words: Sequence[np.ndarray], seed: np.uint64) -> np.ndarray:
    sums: list[np.ndarray | np.uint64] = [seed + P1 + P2, seed + P2, seed, seed - P1]
    for index, word in enumerate(words):
        lane = word * P2
        lane += sums[index % LANES]
        sums[index % LANES] = _round(lane)
    hashes = sum(_rotated(np.asarray(one), bits) for one, bits in zip(sums, (1, 7, 12, 18), strict=True))
    hashes = np.asarray(hashes)
    for one in sums:
        hashes ^= _round(np.asarray(one) * P2)
        hashes *= P1
        hashes += P4
    return hashes


def _round(lane: np.ndarray) -> np.ndarray:
    rotated = _rotated(lane, 31)
    rotated *= P1
    return rotated


def _rotated(values: np.ndarray, bits: int) -> np.ndarray:
    turned = values << np.uint64(bits)
    turned |= values >> np.uint64(64 - bits)
    return turned


def _missing(columns: Sequence[pa.Array], count: int) -> list[np.ndarray]:
    """A bit for each missing cell."""
    words = [np.zeros(count, np.uint64) for _ in range(0, len(columns), 64)]
    for index, values in enumerate(columns):
        if values.null_count:
            gaps = np.asarray(values.is_null().to_numpy(zero_copy_only=False))
            words[index // 64] |= gaps.astype(np.uint64) << np.uint64(index % 64)
    return words


def _words(values: pa.Array, kind: str) -> np.ndarray:
    if kind in ARRAYS:
        flat = values.flatten().to_numpy().reshape(len(values), values.type.list_size)
        return _digests(row.tobytes() for row in flat)
    if pa.types.is_dictionary(values.type):
        distinct = np.append(_text_words(values.dictionary), np.uint64(0))
        return distinct[values.indices.fill_null(len(distinct) - 1).to_numpy()]
    if kind in ("category", "text", "passage"):
        return _text_words(values)
    cells = (values.fill_null(0) if values.null_count else values).to_numpy()
    # -0.0 and 0.0 are equal, and so must their words be
    return (cells if kind == "integer" else cells + 0.0).view(np.uint64)


def _text_words(values: pa.Array) -> np.ndarray:
    return _digests(None if text is None else text.encode() for text in values.to_pylist())


def _digests(cells: Iterable[bytes | None]) -> np.ndarray:
    digests = (bytes(WORD) if cell is None else hashlib.blake2b(cell, digest_size=WORD).digest() for cell in cells)
    return np.frombuffer(b"".join(digests), "<u8").astype(np.uint64)


def _one(values: pa.ChunkedArray) -> pa.Array:
    array = values.combine_chunks()
    return array.chunk(0) if isinstance(array, pa.ChunkedArray) else array
