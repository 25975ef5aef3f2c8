"""Whatever comes as a tensor is read or refused by name, and costs no more memory than it has bytes."""

import json
import random
import tracemalloc
from typing import Any

import pytest
from handmade import COLUMNS, ROWS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tensor_orders import good_orders, iris_and_digits, mutated, order, read, tensor

from tasks.service.protocols.open_inference import read_order, to_items

MOST = 2**24


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    return iris_and_digits(tmp_path_factory.mktemp("models"))


def test_every_good_request_is_read_by_the_model_that_it_is_for(models: list[Any]) -> None:
    found = [sorted(read(model, *good) == "read" for model in models) for good in good_orders()[:-1]]
    assert found == [[False, True]] * len(found)


@given(seed=st.integers(0, 2**32), which=st.integers(0, len(good_orders()) - 1), model=st.integers(0, 1))
@settings(max_examples=1500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_request_with_mutations_is_read_or_refused(models: list[Any], seed: int, which: int, model: int) -> None:
    assert read(models[model], *mutated(random.Random(seed), *good_orders()[which]))


LENGTHS = st.one_of(st.integers(-1, 9), st.sampled_from([MOST, MOST + 1, 2**63, 2**64]))
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=4)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=12,
)
TENSORS = st.fixed_dictionaries(
    {
        "name": st.sampled_from([*COLUMNS, "x", "image", ""]),
        "shape": st.lists(LENGTHS, max_size=9),
        "datatype": st.sampled_from(["FP16", "FP32", "FP64", "INT8", "UINT64", "BOOL", "BYTES", "", "fp32"]),
    },
    optional={"data": VALUES, "parameters": st.dictionaries(st.just("binary_data_size"), VALUES | st.integers(0, 64))},
)


@given(tensors=st.lists(TENSORS, max_size=5), binary=st.binary(max_size=64), model=st.integers(0, 1))
@settings(max_examples=1500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_tensors_are_read_or_refused(models: list[Any], tensors: list[Any], binary: bytes, model: int) -> None:
    head = json.dumps({"inputs": tensors}).encode()
    assert read(models[model], head + binary, b"%d" % len(head))


@pytest.mark.parametrize(
    "shape", [[MOST], [MOST, 0], [4096, 4096, 0], [0, MOST], [MOST, 1, 1], [1, MOST], [1024, 16384]]
)
@pytest.mark.parametrize("datatype", ["FP32", "UINT8", "BYTES"])
@pytest.mark.parametrize("name", ["x", "sepal_length", "image"])
def test_a_shape_alone_costs_no_memory(models: list[Any], shape: list[int], datatype: str, name: str) -> None:
    body, length = order(tensor(name, shape, datatype, size=4), binary=bytes(4))
    tracemalloc.start()
    try:
        refused = [read(model, body, length) for model in models]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "read" not in refused
    assert peak < 2**20


def test_four_mebibytes_of_ones_in_many_dimensions_are_refused_before_they_are_lists(models: list[Any]) -> None:
    shape, size = [1024, 4096, 1, 1, 1, 1, 1, 1], 2**22
    body, length = order(tensor("image", shape, "UINT8", size=size), binary=bytes(size))
    tracemalloc.start()
    try:
        refused = read(models[1], body, length)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "found the shape [1024, 4096, 1, 1, 1, 1, 1, 1], wanted [items, 8, 8, 1] or [items, 8, 8]" in refused
    assert peak < 2**20


@pytest.mark.parametrize(
    ("datatype", "data", "named"),
    [
        ("INT32", [1.5] * 4, "another type"),
        ("INT8", [128] * 4, "INT8 cannot hold"),
        ("UINT8", [-1] * 4, "UINT8 cannot hold"),
        ("FP16", [1e5] * 4, "FP16 cannot hold"),
        ("FP32", [1e39] * 4, "FP32 cannot hold"),
        ("FP64", [10**400] * 4, "FP64 cannot hold"),
        ("FP32", [True] * 4, "another type"),
        ("BOOL", [1] * 4, "another type"),
        ("BYTES", [1] * 4, "no texts"),
        ("COMPLEX", [1] * 4, "wanted one of BOOL"),
        ("FP32", [[1, 2], 3, 4], "nested in another way"),
        ("FP32", {"0": 1}, "wanted a list"),
        ("FP32", [1], "found 1 values, wanted 4"),
    ],
)
def test_values_that_the_datatype_does_not_have_are_refused(
    models: list[Any], datatype: str, data: Any, named: str
) -> None:
    assert named in read(models[0], *order(tensor("x", [1, 4], datatype, data)))


def test_json_and_binary_numbers_are_the_same_items(models: list[Any]) -> None:
    row = ROWS[:1].astype("<f8")
    told = order(tensor("x", [1, 4], "FP64", row.tolist()))
    sent = order(tensor("x", [1, 4], "FP64", size=32), binary=row.tobytes())
    first, second = (to_items(models[0], read_order(*one)[1]) for one in (told, sent))
    assert first == second == row.tolist()
