"""The loader: the same sequence on any number of ranks, the same rest from any point, and each row once an epoch."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks import loading
from tasks.loading import Loader, Sampler, scattered
from tasks.splits import Split

sizes = st.tuples(st.integers(1, 60), st.integers(1, 20), st.integers(0, 5))
"""Rows, rows of a batch, seed."""
whole = st.sampled_from([loading.WHOLE, 0])  # the order drawn as a whole, or place by place


def samples(rows: int) -> Split:
    x = np.arange(rows * 3, dtype=np.float32).reshape(rows, 3)
    return Split(x, np.arange(rows))


def sequence(loader: Loader, least: int) -> list[int]:
    """At least so many rows."""
    found = []
    while len(found) < least:
        rows, x, y = next(loader)
        assert (x[:, 0] == rows * 3).all()
        assert (y == rows).all()
        found += rows.tolist()
    return found


@settings(deadline=None)
@given(sizes, whole)
def test_each_row_comes_once_an_epoch_in_batches_of_equal_size(size: tuple[int, int, int], limit: int) -> None:
    rows, batch_size, seed = size
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading, "WHOLE", limit)
        loader = Loader(samples(rows), Sampler(rows, batch_size, seed))
        for epoch in range(3):
            batches = [next(loader)[0] for _ in range(loader.sampler.steps)]
            assert sorted(np.concatenate(batches)) == list(range(rows))
            assert loader.consumed == (epoch + 1) * rows
            counts = [len(batch) for batch in batches]
            assert max(counts) <= batch_size
            assert max(counts) - min(counts) <= 1


@settings(deadline=None)
@given(sizes, whole, st.integers(0, 150))
def test_from_any_point_the_rest_is_the_same(size: tuple[int, int, int], limit: int, consumed: int) -> None:
    rows, batch_size, seed = size
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading, "WHOLE", limit)
        from_start = sequence(Loader(samples(rows), Sampler(rows, batch_size, seed)), consumed + rows)
        from_there = sequence(Loader(samples(rows), Sampler(rows, batch_size, seed), consumed), rows)
        assert from_there[:rows] == from_start[consumed : consumed + rows]


@settings(deadline=None)
@given(sizes, st.sampled_from([1, 2, 4]), st.integers(0, 100))
def test_any_number_of_ranks_shares_the_same_sequence(size: tuple[int, int, int], ranks: int, consumed: int) -> None:
    rows, batch_size, seed = size
    sampler = Sampler(rows, batch_size, seed)
    alone = Loader(samples(rows), sampler, consumed)
    together = [Loader(samples(rows), Sampler(rows, batch_size, seed), consumed, rank, ranks) for rank in range(ranks)]
    for _ in range(20):
        batch = next(alone)[0]
        parts = [next(loader)[0] for loader in together]
        for rank, part in enumerate(parts):
            assert part.tolist() == batch[rank::ranks].tolist()
        assert {loader.consumed for loader in together} == {alone.consumed}


def test_after_another_number_of_ranks_the_sequence_goes_on() -> None:
    alone = sequence(Loader(samples(48), Sampler(48, 8, 3)), 32)
    two = [Loader(samples(48), Sampler(48, 8, 3), 0, rank, 2) for rank in range(2)]
    found = [np.stack([next(loader)[0] for loader in two], axis=1).ravel() for _ in range(3)]
    four = [Loader(samples(48), Sampler(48, 8, 3), two[0].consumed, rank, 4) for rank in range(4)]
    found.append(np.stack([next(loader)[0] for loader in four], axis=1).ravel())
    assert np.concatenate(found).tolist() == alone


def test_where_a_training_is_follows_from_what_it_consumed() -> None:
    sampler = Sampler(10, 4, 0)  # batches of 4, 3 and 3
    assert [sampler.where(consumed) for consumed in (0, 3, 4, 6, 7, 10, 14)] == [
        (0, 0), (0, 0), (0, 1), (0, 1), (0, 2), (1, 0), (1, 1),
    ]  # fmt: skip


def test_orders_of_epochs_and_seeds_differ() -> None:
    drawn = {tuple(scattered(np.arange(50), 50, seed, epoch).tolist()) for seed in range(3) for epoch in range(3)}
    assert len(drawn) == 9


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 64, 65, 1000])
def test_rows_drawn_place_by_place_are_all_rows_once(rows: int) -> None:
    assert sorted(scattered(np.arange(rows), rows, 1, 2)) == list(range(rows))


def test_a_row_of_billions_stands_anywhere_as_often() -> None:
    rows = 3_000_000_001
    found = scattered(np.arange(200_000), rows, 0, 0)
    assert len(np.unique(found)) == 200_000
    counts = np.bincount(found * 20 // rows, minlength=20)
    assert abs(counts - 10_000).max() < 500  # five standard deviations
    steps = np.abs(np.diff(found.astype(np.float64))).mean() / rows
    assert 0.32 < steps < 0.347  # neighbours are no neighbours any more: a third apart


def test_small_orders_are_all_drawn_about_as_often() -> None:
    drawn = [tuple(scattered(np.arange(3), 3, seed, 0).tolist()) for seed in range(3000)]
    counts = [drawn.count(order) for order in itertools.permutations(range(3))]
    assert min(counts) > 300, counts
