"""Token files: whatever the parts they are written from and however windows are filled, each token is a target once, after those before it."""

from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.transforms.streams import PACKINGS, TokenStream, open_stream, pack, write_stream
from tasks.transforms.windows import IGNORED

END = 9999
documents = st.lists(st.lists(st.integers(1, 12), min_size=1, max_size=3), min_size=1, max_size=12)
"""Of each document the tokens of its rows."""


def rows_of(lengths: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Tokens counted from 0 on, and of each row its tokens and its document."""
    rows = [[row, 0, 0, 7 - number] for number, document in enumerate(lengths) for row in document]
    return np.arange(sum(map(sum, lengths)), dtype=np.uint16), np.array(rows)


def written(folder: Path, lengths: list[list[int]], packing: str, context: int, rows_a_part: int) -> TokenStream:
    ids, rows = rows_of(lengths)
    ends = np.concatenate([[0], np.cumsum(rows[:, 0])])
    parts = [(start, min(start + rows_a_part, len(rows))) for start in range(0, len(rows), rows_a_part)]
    write_stream(folder, ((ids[ends[a] : ends[b]], rows[a:b]) for a, b in parts), context, END, packing)
    assert sorted(path.name for path in folder.iterdir()) == sorted(PACKINGS[packing])
    return open_stream(folder)


def expected(lengths: list[list[int]]) -> list[tuple[int, int]]:
    """Each token after the one before it, an end of text before each document and after the last."""
    ids, stream = iter(range(10_000)), [END]
    for document in lengths:
        stream += [next(ids) for _ in range(sum(document))] + [END]
    return list(pairwise(stream))


@pytest.mark.parametrize("packing", PACKINGS)
@settings(deadline=None)
@given(documents, st.integers(1, 10), st.integers(1, 5))
def test_each_token_is_a_target_once_after_the_one_before_it(
    packing: str, lengths: list[list[int]], context: int, rows_a_part: int
) -> None:
    with TemporaryDirectory() as folder:
        stream = written(Path(folder), lengths, packing, context, rows_a_part)
        x_WT, y_WT = stream.batch(np.arange(len(stream)))
    assert set(x_WT.ravel().tolist()) <= {END, *range(sum(map(sum, lengths)))}
    real = y_WT != IGNORED
    pairs = list(zip(x_WT[real].tolist(), y_WT[real].tolist(), strict=True))
    assert sorted(pairs) == sorted(expected(lengths))
    assert (x_WT.dtype, x_WT.shape[1:]) == (np.int32, stream.shape)
    if packing == "concatenate":
        assert pairs == expected(lengths)


@settings(deadline=None)
@given(documents, st.integers(1, 10))
def test_best_fit_cuts_no_document_that_fits_and_the_others_into_whole_windows_and_a_rest(
    lengths: list[list[int]], context: int
) -> None:
    sizes = [sum(document) + 1 for document in lengths]
    starts = np.concatenate([[0], np.cumsum(sizes)]).tolist()
    segments = pack(starts, context).tolist()
    assert sum(size for *_, size in segments) == sum(sizes)
    assert max(np.bincount([window for window, *_ in segments], [size for *_, size in segments])) <= context
    cuts = {start for _, start, _ in segments} - set(starts)
    for start, stop in pairwise(starts):
        assert [cut for cut in sorted(cuts) if start < cut < stop] == list(range(start + context, stop, context))


def test_best_fit_fills_windows_as_well_as_can_be() -> None:
    segments = pack([0, 6, 9, 13, 14, 24], 10)  # documents of 6, 3, 4, 1 and 10 pairs
    assert segments.tolist() == [[0, 14, 10], [1, 0, 6], [1, 9, 4], [2, 6, 3], [2, 13, 1]]


def test_some_windows_are_what_they_are_among_all(tmp_path: Path) -> None:
    for packing in PACKINGS:
        (tmp_path / packing).mkdir()
        stream = written(tmp_path / packing, [[5, 9], [3], [22], [1, 1]], packing, 4, 2)
        x_WT, y_WT = stream.batch(np.arange(len(stream)))
        rows = np.array([len(stream) - 1, 0, 3])
        x_BT, y_BT = stream.batch(rows)
        assert (x_BT == x_WT[rows]).all()
        assert (y_BT == y_WT[rows]).all()
