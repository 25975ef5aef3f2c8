"""TensorFlow Serving's REST API, as its guide has it; tests/conformance/with_tensorflow.py asks more."""

import base64
import re
from collections.abc import Iterator
from typing import Any, cast

import pytest
from handmade import COLUMNS, ITEMS, Running, iris_store, serving
from handmade_images import colour_store
from media import RED, picture

from tasks.service.paths import paths


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("tensorflow")
    store, _ = iris_store(folder)
    colour_store(folder)
    with serving(store, folder, "--model", "colours") as running:
        yield running


def predicted(service: Running, model: str, body: dict[str, Any]) -> Any:
    return service.client.post(f"/v1/models/{model}:predict", json=body).json()


def test_a_value_may_stand_in_a_list_of_its_own_in_rows_and_columns(service: Running) -> None:
    rows = [{name: [value] for name, value in item.items()} for item in (ITEMS[0], ITEMS[-1])]
    columns = {name: [row[name] for row in rows] for name in COLUMNS}
    assert predicted(service, "iris", {"instances": rows}) == {"predictions": ["setosa", "virginica"]}
    assert predicted(service, "iris", {"inputs": columns}) == {"outputs": ["setosa", "virginica"]}


@pytest.mark.parametrize("value", [[], [1, 2], [[1]]])
def test_no_other_list_is_taken_for_a_value(service: Running, value: list[Any]) -> None:
    answer = predicted(service, "iris", {"instances": [{**ITEMS[0], "petal_width": value}]})
    assert "column 'petal_width': found list" in answer["error"]


def test_a_file_may_stand_under_its_input_s_name(service: Running) -> None:
    file = {"b64": base64.b64encode(picture((8, 8), RED)).decode()}
    assert predicted(service, "colours", {"instances": [file, {"image": file}]}) == {"predictions": ["red", "red"]}
    assert predicted(service, "colours", {"inputs": {"image": [file]}}) == {"outputs": ["red"]}


def test_metadata_describe_each_signature_s_tensors(service: Running) -> None:
    told = service.client.get("/v1/models/iris/metadata").json()
    signatures = told["metadata"]["signature_def"]["signature_def"]
    assert list(signatures) == ["serving_default", "probabilities"]
    assert {tensor["dtype"] for tensor in signatures["serving_default"]["inputs"].values()} == {"DT_DOUBLE"}
    assert list(signatures["serving_default"]["inputs"]) == list(COLUMNS)
    (shares,) = signatures["probabilities"]["outputs"].values()
    assert [dim["size"] for dim in shares["tensor_shape"]["dim"]] == ["-1", "3"]


@pytest.mark.parametrize(
    ("path", "text"), [("iris:classify", True), ("a/b", True), ("nowhere", False), ("a%3Ab", False), ("a%2Fb", False)]
)
def test_the_path_as_it_was_sent_says_whose_errors_are_told(service: Running, path: str, text: bool) -> None:
    answer = service.client.get(f"/v1/models/{path}")
    assert answer.status_code == 404
    assert isinstance(answer.json()["error"], str) is text


def test_the_openapi_document_has_every_path_and_no_other(service: Running) -> None:
    document = service.client.get("/openapi.json").json()
    told = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    there = {(path.method, path.pattern) for path in paths(cast(Any, None))}
    assert there - told == {("POST", "/v1/completions"), ("POST", "/v1/chat/completions")}  # of language models alone
    assert told <= there


def test_the_openapi_document_s_paths_of_a_version_and_an_alias_are_answered(service: Running) -> None:
    document = service.client.get("/openapi.json").json()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if "{version}" in path or "{label}" in path:
                assert [one["name"] for one in operation["parameters"]] == re.findall(r"\{(\w+)\}", path)
                body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("example")
                url = path.format(model="iris", version=1, label="champion")
                assert service.client.request(method, url, json=body).status_code == 200, url
