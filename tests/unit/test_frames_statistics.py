"""Statistics of shards, merged: exact where they can be, and within a stated share of the rows where they cannot."""

import numpy as np
import pyarrow as pa
import pytest

from tasks.frames.profile import BINS, build_profile
from tasks.frames.schema import Column
from tasks.frames.statistics import MERGED_POINTS, POINTS, Merging, Ranks, Statistics, describe, merge

NUMBER, COLOUR = Column("x", "number"), Column("colour", "category")
SHARES = np.linspace(0, 1, 41).tolist()


def parts(values: np.ndarray, sizes: list[int]) -> list[Statistics]:
    """The statistics of `values` in shards of those sizes, as they come back from a store."""
    shards = np.split(values, np.cumsum(sizes)[:-1])
    found = [describe(NUMBER, pa.chunked_array([pa.array(shard, pa.float64())])) for shard in shards]
    return [Statistics.from_json(one.to_json()) for one in found]


def test_of_few_different_values_every_quantile_is_exact():
    values = np.random.default_rng(0).integers(0, POINTS, 5000).astype(np.float64)
    merged = merge(parts(values, [1000, 3, 3997]))
    assert merged.ranks.quantiles(SHARES).tolist() == np.quantile(values, SHARES).tolist()
    assert (merged.rows, merged.moments.count) == (5000, 5000)
    assert merged.moments.mean == pytest.approx(values.mean())
    assert merged.moments.std == pytest.approx(values.std())


@pytest.mark.parametrize("sizes", [[20_000], [20] * 500, [7000, 1, 999, 12_000], [POINTS + 1] * 20])
@pytest.mark.parametrize("law", ["normal", "lognormal", "steps"])
def test_a_quantile_is_off_by_so_small_a_share_of_the_rows(sizes: list[int], law: str):
    random = np.random.default_rng(1)
    count = sum(sizes)
    drawn = {"normal": random.normal(size=count), "lognormal": random.lognormal(3, 2, count)}
    values = drawn.get(
        law, np.round(random.normal(size=count), 1) + random.normal(size=count) * (random.random(count) > 0.5)
    )
    ranks = merge(parts(values, sizes)).ranks
    ordered = np.sort(values)
    for share, found in zip(SHARES, ranks.quantiles(SHARES), strict=True):
        below, up_to = np.searchsorted(ordered, found, "left") / count, np.searchsorted(ordered, found, "right") / count
        assert below - 1.05 / POINTS <= share <= up_to + 1.05 / POINTS
    assert (ranks.values[0], ranks.values[-1]) == (ordered[0], ordered[-1])
    assert ranks.weights.sum() == count


def test_thinning_keeps_all_weight_the_ends_and_the_order():
    ranks = Ranks.of(np.random.default_rng(2).normal(size=50_000)).thinned(MERGED_POINTS)
    assert len(ranks.values) <= MERGED_POINTS
    assert ranks.weights.sum() == 50_000
    assert (np.diff(ranks.values) > 0).all()


def test_one_value_that_most_rows_have_stays_as_frequent_as_it_is():
    values = np.concatenate([np.zeros(9000), np.random.default_rng(3).normal(size=1000)])
    ranks = Ranks.of(values).thinned(POINTS)
    assert ranks.weights[ranks.values == 0.0].sum() == pytest.approx(9000, abs=10_000 / POINTS)


def test_categories_and_missing_values_are_counted_exactly():
    shards = [["red", None, "blue"], ["red"], [None, None]]
    merged = merge(describe(COLOUR, pa.chunked_array([pa.array(shard, pa.string())])) for shard in shards)
    assert (merged.rows, merged.missing, dict(merged.counts)) == (6, 3, {"red": 2, "blue": 1})


def test_nothing_present_and_numbers_too_large_for_squares_can_be_stored():
    for cells in ([None, None], [1e300, -1e300, 1e308]):
        found = describe(NUMBER, pa.chunked_array([pa.array(cells, pa.float64())]))
        merged = merge([Statistics.from_json(found.to_json())] * 2)
        assert np.isfinite([merged.moments.mean, merged.moments.squares]).all()
        assert build_profile([NUMBER], {"x": merged})["x"]["rows"] == 2 * len(cells)


def test_a_histogram_has_bins_of_about_equal_counts_that_add_up():
    values = np.random.default_rng(4).normal(size=30_000)
    found = build_profile([NUMBER], {"x": merge(parts(values, [10_000] * 3))})["x"]
    assert len(found["counts"]) == BINS
    assert sum(found["counts"]) == 30_000
    assert max(found["counts"]) - min(found["counts"]) < 3 * 30_000 / POINTS


def test_of_thousands_of_shards_no_more_is_held_and_the_quantiles_stay_near(monkeypatch: pytest.MonkeyPatch):
    values = np.random.default_rng(3).normal(size=50_000)
    whole, merging = merge(parts(values, [500] * 100)), Merging()
    monkeypatch.setattr("tasks.frames.statistics.RANKS_HELD", 16)
    for part in parts(values, [500] * 100):
        merging.add(part)
        assert sum(len(ranks.values) for ranks in merging._ranks) <= 20 * POINTS
    found = merging.merged()
    assert (found.rows, found.moments, found.ranks.weights.sum()) == (whole.rows, whole.moments, 50_000)
    places = np.searchsorted(np.sort(values), found.ranks.quantiles(SHARES)) / 50_000
    assert np.abs(places - SHARES).max() < 3 / POINTS
