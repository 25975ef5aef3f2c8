"""Step keys: one key for one meaning."""

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.errors import ConfigError
from storage.keys import encode, step_key

DISTINCT: list[Any] = [
    None, False, True, 0, 1, -1, 10**30, 0.0, -0.0, 1.0, 0.1, 1e300, float("inf"), float("nan"), "", "1", "1.0", "None", "é", "e\u0301",
    b"", b"1", [], [1], ["1"], ["ab"], ["a", "b"], [["a"], "b"], ["a", ["b"]], [[]], [[], []], {}, {"a": 1}, {"a": "1"}, {1: "a"}, {"1": "a"},
    {"a": {"b": 1}}, {"a": {}, "b": 1}, {"a": None}, ["a", 1], [["a", 1]], "l0:", "i1;",
]  # fmt: skip


def test_different_values_never_meet():
    assert len({encode(value) for value in DISTINCT}) == len(DISTINCT)
    assert len({step_key("s", {"x": value}, "", {}) for value in DISTINCT}) == len(DISTINCT)


def test_each_part_of_a_key_counts():
    base = ("train", {"epochs": 3}, "f" * 64, {"numpy": "2.4.6"})
    others = [("fit", {"epochs": 4}, "e" * 64, {"numpy": "2.4.7"})[i] for i in range(4)]
    variants = [tuple(others[j] if i == j else base[j] for j in range(4)) for i in range(4)]
    keys = {step_key(*variant) for variant in [base, *variants]}  # type: ignore[arg-type]
    assert len(keys) == 5


def test_order_in_a_mapping_and_kind_of_sequence_do_not_count():
    items = [("a", 1), ("b", (1, 2)), ("c", {"x": 1, "y": 2})]
    keys = {step_key("s", dict(order), "", {}) for order in itertools.permutations(items)}
    assert keys == {step_key("s", {"c": {"y": 2, "x": 1}, "b": [1, 2], "a": 1}, "", {})}


def test_a_known_key_never_changes():
    inputs = {"epochs": 3, "rate": 0.1, "layers": [32, 64], "options": {"amp": True, "seed": None}, "name": "é"}
    key = step_key("train", inputs, "0" * 64, {"numpy": "2.4.6"})
    assert key == "bd7e2f4b17c17837417b8ba1701b0030e5596c850e093f56786c04e2967d7ed8"


def test_what_cannot_be_in_a_key_is_refused():
    with pytest.raises(ConfigError, match="type object; wanted plain data"):
        step_key("train", {"x": object()}, "", {})


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def same(a: Any, b: Any) -> bool:
    """Equality that tells 1 from 1.0 and True, and 0.0 from -0.0."""
    if type(a) is not type(b):
        return False
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return repr(a) == repr(b)


@given(plain, plain)
def test_values_are_encoded_alike_only_when_they_are_the_same(a: Any, b: Any):
    assert (encode(a) == encode(b)) == same(a, b)
