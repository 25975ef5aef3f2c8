"""The language of rules between columns: it says what Python would, knows what is missing, and can do nothing else."""

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.errors import ConfigError
from tasks.frames.expressions import broken
from tasks.sections.expressions import parse

COLUMNS = {
    "a": pa.array([1, 2, 3, None], pa.int64()),
    "x": pa.array([0.5, 2.0, None, 4.0], pa.float64()),
    "t": pa.array(["red", "Blue", "", None], pa.string()),
    "education num": pa.array([9, 10, 11, 12], pa.int64()),
}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a < 3", [False, False, True, False]),
        ("1 < a <= 2", [True, False, True, False]),
        ("a + x * 2 >= 6 or t == 'red'", [False, False, False, False]),
        ("not (a == 2 and x == 2)", [False, True, False, False]),
        ("-a < -1 and abs(0 - x) > 1", [True, False, False, False]),
        ("missing(a) or missing(x)", [True, True, False, False]),
        ("length(t) > 3", [True, False, True, False]),
        ("lower(t) in ('red', 'blue')", [False, False, True, False]),
        ("a not in [2, 3]", [False, True, True, False]),
        ("matches(t, '[A-Z].*')", [True, False, True, False]),
        ("`education num` > 10", [True, True, False, False]),
        ("t != '`a`'", [False, False, False, False]),
        ("a / 0 > 1", [False, False, False, False]),
    ],
)
def test_rows_for_which_it_is_false_break_it_and_what_is_missing_breaks_nothing(text: str, wanted: list[bool]):
    assert broken(text, COLUMNS).tolist() == wanted


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true') == 0",
        "a.__class__ == 1",
        "a[0] == 1",
        "(lambda: a)() == 1",
        "[x for x in a] == 1",
        "(a := 3) > 1",
        "f'{a}' == '1'",
        "a ** 9999999 > 1",
        "a if x else t",
        "length(t, t) > 1",
        "matches(t, t)",
        "a == (1, 2)",
        "a in t",
        "a in (x, 1)",
        "a + 1",
        "a and x",
        "1 < 2",
        "a > None",
        "a > 99999999999999999999999",
        "a >",
        "",
        "(" * 400,
    ],
)
def test_what_is_not_of_the_language_is_refused_before_it_is_run(text: str):
    with pytest.raises(ValueError, match=r"cannot be read|wanted|not part of it|names no column|neither"):
        parse(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a > 't'", "are not compared"),
        ("t + 1 > 2", "wanted numbers"),
        ("t in (1, 2)", "wanted texts"),
        ("b > 1", "none of a, x"),
    ],
)
def test_types_that_do_not_fit_are_refused(text: str, words: str):
    with pytest.raises(ConfigError, match=words):
        broken(text, COLUMNS)


NUMBERS = st.one_of(st.none(), st.integers(-5, 5))


def leaves() -> st.SearchStrategy[str]:
    sides = st.sampled_from(["a", "b", "(a + b)", "(a * 2 - b)", "-a", "3", "0.5"])
    one = st.tuples(st.sampled_from(["a", "b"]), st.sampled_from(["<", "<=", "==", "!=", ">", ">="]), sides)
    return one.map(" ".join)


EXPRESSIONS = st.recursive(
    leaves(),
    lambda inner: st.one_of(
        inner.map(lambda e: f"not ({e})"),
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda e: f"({e[0]}) {e[1]} ({e[2]})"),
    ),
    max_leaves=6,
)


@given(EXPRESSIONS, st.lists(st.tuples(st.integers(-5, 5), st.integers(-5, 5)), min_size=1, max_size=20))
def test_without_missing_values_it_is_what_python_says(text: str, rows: list[tuple[int, int]]):
    columns: dict[str, Any] = {name: pa.array([row[i] for row in rows], pa.int64()) for i, name in enumerate("ab")}
    assert broken(text, columns).tolist() == [not eval(text, {}, {"a": a, "b": b}) for a, b in rows]
