"""Tokens in windows, as a language model is trained and scored on them. W windows, T tokens of a window, N rows.

Each token of a split is a target exactly once; what is filled up is no target (`IGNORED`). Training rows follow each other in one
stream, documents parted by the end of text, so that no window is wasted on filling. Rows that are scored stand each by
themselves, and their windows overlap by a quarter, so that a target has a quarter of a window before it, where its row has so much.
"""

import bz2
import lzma
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from storage.manifests import Manifest
from storage.objects import ObjectStore
from tasks.frames.splitting import SPLITS
from tasks.frames.tokens import passages
from tasks.transforms import Transforms
from tasks.transforms.tokens import TokenInput

IGNORED = -1  # in y: no target
COMPRESSED_BYTES = 24 << 20  # of a split's text, at most, for the compressors that a model is held against
Windows = tuple[np.ndarray, np.ndarray]


def encode_windows(
    store: ObjectStore, manifest: Manifest, transforms: Transforms, tokens: TokenInput, folder: Path
) -> tuple[dict[str, Path], dict[str, Any]]:
    """For each split `x.npy` and `y.npy` (W, T) int32: tokens, and the token after each.

    For validation and test also `rows.npy` (W,): the row that each window is of, and `sizes.npy` (N, 2): bytes and words of each row.
    Memory holds the tokens of one split.
    """
    files: dict[str, Path] = {}
    for split in SPLITS:
        (folder / split).mkdir(parents=True, exist_ok=True)
        arrays = _stream(store, manifest, tokens) if split == "train" else _rows(store, manifest, split, tokens)
        for name, array in arrays.items():
            files[f"{split}/{name}.npy"] = folder / split / f"{name}.npy"
            np.save(files[f"{split}/{name}.npy"], array)
    meta = {
        "task": transforms.task,
        "classes": [],
        "input": {"shape": list(transforms.input_shape), "dtype": transforms.input_dtype},
        "target_scale": None,
        "vocabulary": tokens.vocabulary,
        "rows": dict(manifest.meta["splits"]),
        "compressors": compressors(*(_beginning(store, manifest, split) for split in ("test", "train"))),
    }
    return files, meta


def stream_windows(ids: np.ndarray, context: int, end: int) -> Windows:
    """Windows over one stream of tokens, the first of which is no target; the last window is filled up."""
    count = -(-(len(ids) - 1) // context)
    x_WT, y_WT = np.full((count, context), end, np.int32), np.full((count, context), IGNORED, np.int32)
    x_WT.reshape(-1)[: len(ids) - 1] = ids[:-1]
    y_WT.reshape(-1)[: len(ids) - 1] = ids[1:]
    return x_WT, y_WT


def row_windows(ids: np.ndarray, context: int, end: int) -> Windows:
    """Windows over one row, after an end of text; each begins with the last quarter of the one before."""
    whole, step = np.concatenate([[end], ids]), context - context // 4
    starts = [0, *range(step, len(ids) - context + step, step)]
    x_WT, y_WT = np.full((len(starts), context), end, np.int32), np.full((len(starts), context), IGNORED, np.int32)
    for number, start in enumerate(starts):
        known = context - step if number else 0  # targets of the window before
        x, y = whole[start : start + context], ids[start : start + context]
        x_WT[number, : len(y)] = x[: len(y)]
        y_WT[number, known : len(y)] = y[known:]
    return x_WT, y_WT


def count_words(text: str) -> int:
    """Words between white space; each end of a line counts as one."""
    return len(text.split()) + text.count("\n")


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


def _stream(store: ObjectStore, manifest: Manifest, tokens: TokenInput) -> dict[str, np.ndarray]:
    end, parts = np.array([tokens.end], np.int32), list[np.ndarray]()
    before = ""
    for batch in passages(store, manifest, "train"):
        for ids, (_, document) in zip(tokens.encode([text for text, _ in batch]), batch, strict=True):
            parts += [ids] if document == before else [end, ids]
            before = document
    x_WT, y_WT = stream_windows(np.concatenate([*parts, end]), tokens.context, tokens.end)
    return {"x": x_WT, "y": y_WT}


def _rows(store: ObjectStore, manifest: Manifest, split: str, tokens: TokenInput) -> dict[str, np.ndarray]:
    x, y, rows, sizes = [], [], list[int](), list[Sequence[int]]()
    for batch in passages(store, manifest, split):
        texts = [text for text, _ in batch]
        for text, ids in zip(texts, tokens.encode(texts), strict=True):
            x_WT, y_WT = row_windows(ids, tokens.context, tokens.end)
            rows += [len(sizes)] * len(x_WT)
            sizes.append((len(text.encode()), count_words(text)))
            x.append(x_WT)
            y.append(y_WT)
    arrays = {"x": np.concatenate(x), "y": np.concatenate(y)}
    return {**arrays, "rows": np.array(rows, np.int32), "sizes": np.array(sizes, np.int64)}
