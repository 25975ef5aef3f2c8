"""Many rows checked at once: what is taken, what is refused and in which words is what the item path says, whatever the values."""

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.batch.reading import Rows
from tasks.transforms import ItemError, Transforms
from tasks.transforms.columns import Coded, Objects, Values, column_of
from tasks.transforms.tables import CategoryColumn, NumberColumn, TableInput
from tasks.transforms.targets import NumberTarget

PARTS = (
    NumberColumn("age", True, True, 0.0, 120.0, median=40.0, mean=40.0, std=10.0),
    NumberColumn("weight", False, False, None, None, median=70.0, mean=70.0, std=5.0),
    NumberColumn("count", True, False, None, 2.0**60, median=1.0, mean=1.0, std=2.0),
    CategoryColumn("colour", True, ("red", "blue", "True", "7"), ("", "?")),
    CategoryColumn("shape", False, ("round", "false"), ("NA",)),
)
TABLE = Transforms("table", "regression", TableInput(PARTS), NumberTarget("price", 100.0, 20.0), None)
NAMES = [part.name for part in PARTS]
EDGES = [2**53 - 1, 2**53, 2**53 + 1, -(2**53) - 1, 2**60, 2**60 + 1, 2**63 - 1, 120, 121, 0, -1]
NUMBERS = st.one_of(st.integers(-130, 130), st.floats(), st.sampled_from([*EDGES, 120.0, 0.5, -0.0, 3.5e38, math.inf]))
HUGE = st.sampled_from([2**64, 10**400, -(10**400)])
TEXTS = st.sampled_from(["red", " blue ", "mauve", "", "?", "NA", "7", "true", "False", "50", "nan", "ß\0"])
ANY = st.one_of(NUMBERS, HUGE, TEXTS, st.booleans(), st.none(), st.just([1]), st.just({"a": 1}))


def by_items(rows: list[list[Any]]) -> tuple[list[int], list[tuple[int, str]], np.ndarray]:
    """Taken rows, refused rows with the words, and features, an item at a time."""
    taken, refused = [], []
    for number, row in enumerate(rows):
        try:
            TABLE.parse([row])
            taken.append(number)
        except ItemError as error:
            refused.append((number, error.message))
    return taken, refused, TABLE.features(TABLE.parse([rows[number] for number in taken]))


def assert_the_same(columns: dict[str, Values], rows: list[list[Any]]) -> None:
    taken, refused, features = by_items(rows)
    sifted = TABLE.sift(columns)
    assert sifted.rows.tolist() == taken
    assert [(one.row, one.reason) for one in sifted.refused] == refused
    assert TABLE.features(sifted.columns).tobytes() == features.tobytes()
    halves = [TABLE.features(sifted.part(start, stop)) for start, stop in ((0, 2), (2, len(rows)))]
    assert np.concatenate(halves).tobytes() == features.tobytes()


@given(st.lists(st.tuples(*[ANY] * len(PARTS)), max_size=12))
def test_values_as_a_client_sends_them(rows: list[tuple[Any, ...]]):
    columns = {name: column_of([row[place] for row in rows]) for place, name in enumerate(NAMES)}
    assert_the_same(columns, [list(row) for row in rows])


@given(
    st.lists(st.tuples(*[st.one_of(NUMBERS, st.none())] * 3, *[st.one_of(TEXTS, st.integers(0, 9))] * 2), max_size=30)
)
def test_columns_of_numbers_with_edges_and_gaps(rows: list[tuple[Any, ...]]):
    columns = {name: column_of([row[place] for row in rows]) for place, name in enumerate(NAMES)}
    assert_the_same(columns, [list(row) for row in rows])


KINDS = {
    pa.int64(): st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1), st.sampled_from(EDGES)),
    pa.uint64(): st.one_of(st.none(), st.integers(0, 2**64 - 1), st.integers(0, 130)),
    pa.int8(): st.one_of(st.none(), st.integers(-128, 127)),
    pa.float64(): st.one_of(st.none(), NUMBERS.map(float)),
    pa.float32(): st.one_of(st.none(), st.floats(width=32)),
    pa.string(): st.one_of(st.none(), TEXTS),
    pa.large_string(): st.one_of(st.none(), TEXTS),
    pa.dictionary(pa.int8(), pa.string()): st.one_of(st.none(), TEXTS),
    pa.bool_(): st.one_of(st.none(), st.booleans()),
    pa.null(): st.none(),
    pa.list_(pa.int64()): st.one_of(st.none(), st.lists(st.integers(0, 9), max_size=2)),
}


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    """A table of a few rows with columns of any kinds."""
    size = draw(st.integers(0, 8))
    arrays = {}
    for name in NAMES:
        kind = draw(st.sampled_from(list(KINDS)))
        arrays[name] = pa.array(draw(st.lists(KINDS[kind], min_size=size, max_size=size)), kind)
    return pa.table(arrays)


def as_json(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


@given(tables())
def test_columns_of_a_parquet_file_whatever_their_types(table: pa.Table):
    rows = [[as_json(value) for value in row.values()] for row in table.to_pylist()]
    assert_the_same({name: Rows(table).values(name, {}) for name in NAMES}, rows)


def test_a_sequence_that_holds_truth_or_a_text_is_no_column_of_numbers():
    for odd in (True, "1", [1]):
        assert isinstance(column_of([1, 2.5, odd]), Objects)


def test_each_distinct_text_is_parsed_once(monkeypatch: pytest.MonkeyPatch):
    parsed, parse = [], CategoryColumn.parse
    monkeypatch.setattr(CategoryColumn, "parse", lambda part, value: parsed.append(value) or parse(part, value))
    sure, values = PARTS[3].check(Coded(["red", " ? "], np.array([0, 1, 0, 0, 1])))  # pyright: ignore[reportAttributeAccessIssue]
    assert parsed == ["red", " ? "]
    assert sure.all()
    assert [values.at(row) for row in range(5)] == ["red", None, "red", "red", None]
