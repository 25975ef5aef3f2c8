"""Tokens in windows, as a language model is scored on them; `tasks.transforms.streams` has those that it is trained on. W windows, T tokens
of a window, N rows.

Each token of a split is a target exactly once; what is filled up is no target (`IGNORED`). Rows that are scored stand each by
themselves, and their windows overlap by a quarter, so that a target has a quarter of a window before it, where its row has so much.
"""

import numpy as np

IGNORED = -1  # in y: no target
TOKENS, BYTES, WORDS, DOCUMENT = range(
    4
)  # columns of `rows_N4`: of each row its tokens, bytes and words, and the hash of its document
Windows = tuple[np.ndarray, np.ndarray]


def row_arrays(ids: np.ndarray, rows_N4: np.ndarray, context: int, end: int) -> dict[str, np.ndarray]:
    """`x` and `y` (W, T) int32 of rows each by itself, `rows` (W,) the row that each window is of, `sizes` (N, 2) bytes and words of each row."""
    parts = np.split(ids, np.cumsum(rows_N4[:-1, TOKENS]))
    windows = [row_windows(part, context, end) for part in parts]
    x_WT, y_WT = (np.concatenate(arrays) for arrays in zip(*windows, strict=True))
    rows = np.repeat(np.arange(len(parts), dtype=np.int32), [len(x) for x, _ in windows])
    return {"x": x_WT, "y": y_WT, "rows": rows, "sizes": rows_N4[:, [BYTES, WORDS]]}


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
