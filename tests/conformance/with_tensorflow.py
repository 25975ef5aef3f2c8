"""What a client of TensorFlow Serving's REST API sees, by plain requests as its guide has them; run by its environment's pytest.

SERVICE_URL, SERVICE_KEY; models `iris`, `colours`, `writer`. https://www.tensorflow.org/tfx/serving/api_rest
"""

import base64
import json
import os
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
import requests

URL, KEY = os.environ["SERVICE_URL"], os.environ["SERVICE_KEY"]
COLUMNS = ("sepal_length", "sepal_width", "petal_length", "petal_width")
ROWS = [[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5]]
ITEMS = [dict(zip(COLUMNS, row, strict=True)) for row in ROWS]
RIGHT = ["setosa", "virginica"]
PLACES = ["", "/versions/1", "/labels/champion"]
FINE = {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}


@pytest.fixture
def client() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        session.headers["Authorization"] = f"Bearer {KEY}"
        yield session


def predicted(client: requests.Session, model: str, body: dict[str, Any]) -> Any:
    response = client.post(f"{URL}/v1/models/{model}:predict", json=body)
    response.raise_for_status()
    return response.json()


def png(colour: tuple[int, int, int]) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = b"".join(b"\0" + bytes(colour) * 9 for _ in range(9))
    head = struct.pack(">IIBBBBB", 9, 9, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "instances",
    [ITEMS, ROWS, [{name: [value] for name, value in item.items()} for item in ITEMS]],
    ids=["named inputs", "one input", "named inputs of shape [1]"],
)
def test_rows_are_answered_as_predictions(client: requests.Session, place: str, instances: list[Any]) -> None:
    assert predicted(client, f"iris{place}", {"instances": instances}) == {"predictions": RIGHT}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "inputs",
    [
        dict(zip(COLUMNS, map(list, zip(*ROWS, strict=True)), strict=True)),
        dict(zip(COLUMNS, [[[value] for value in column] for column in zip(*ROWS, strict=True)], strict=True)),
        ROWS,
    ],
    ids=["columns", "columns of shape [-1, 1]", "one input"],
)
def test_columns_are_answered_as_outputs(client: requests.Session, place: str, inputs: Any) -> None:
    assert predicted(client, f"iris{place}", {"inputs": inputs}) == {"outputs": RIGHT}


def test_a_signature_chooses_what_is_answered(client: requests.Session) -> None:
    default = predicted(client, "iris", {"signature_name": "serving_default", "instances": ITEMS})
    assert default == {"predictions": RIGHT}
    for key, answer in (("instances", "predictions"), ("inputs", "outputs")):
        shares = predicted(client, "iris", {"signature_name": "probabilities", key: ROWS})[answer]
        assert [row.index(max(row)) for row in shares] == [0, 2]
        assert [sum(row) for row in shares] == pytest.approx([1, 1], abs=1e-5)


def test_the_guide_s_curl_sends_no_json_header(client: requests.Session) -> None:
    body = json.dumps({"instances": ROWS})
    for kind in (None, "application/x-www-form-urlencoded", "text/plain"):
        headers = {"Content-Type": kind} if kind else {}
        response = client.post(f"{URL}/v1/models/iris:predict", data=body, headers=headers)
        assert (response.status_code, response.json()) == (200, {"predictions": RIGHT})
        assert response.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("named", [False, True])
def test_binary_values_stand_in_base64(client: requests.Session, named: bool) -> None:
    files = [{"b64": base64.b64encode(png(colour)).decode()} for colour in ((0, 0, 200), (200, 0, 0))]
    (name,) = signature(client, "colours", "serving_default")["inputs"]
    instances = [{name: file} for file in files] if named else files
    assert predicted(client, "colours", {"instances": instances}) == {"predictions": ["blue", "red"]}
    assert predicted(client, "colours", {"inputs": {name: files} if named else files}) == {"outputs": ["blue", "red"]}


def test_pixels_stand_as_nested_lists(client: requests.Session) -> None:
    pictures = [[[colour] * 8] * 8 for colour in ([0, 0, 200], [200, 0, 0])]
    assert predicted(client, "colours", {"instances": pictures}) == {"predictions": ["blue", "red"]}


def test_texts_stand_as_they_are(client: requests.Session) -> None:
    known, unknown = predicted(client, "writer", {"instances": ["def ün(x😀):", "zzz"]})["predictions"]
    assert known < unknown
    (name,) = signature(client, "writer", "serving_default")["inputs"]
    assert predicted(client, "writer", {"inputs": {name: ["def ün(x😀):", "zzz"]}}) == {"outputs": [known, unknown]}


@pytest.mark.parametrize("place", PLACES)
def test_the_status_of_a_model(client: requests.Session, place: str) -> None:
    response = client.get(f"{URL}/v1/models/iris{place}")
    assert response.status_code == 200
    assert response.json()["model_version_status"] == [FINE]


def signature(client: requests.Session, model: str, name: str) -> Any:
    told = client.get(f"{URL}/v1/models/{model}/metadata").json()
    return told["metadata"]["signature_def"]["signature_def"][name]


def shape(tensor: Any) -> list[int]:
    assert tensor["tensor_shape"]["unknown_rank"] is False
    return [int(dim["size"]) for dim in tensor["tensor_shape"]["dim"]]


@pytest.mark.parametrize("place", PLACES)
def test_the_metadata_of_a_model(client: requests.Session, place: str) -> None:
    told = client.get(f"{URL}/v1/models/iris{place}/metadata").json()
    assert told["model_spec"] == {"name": "iris", "signature_name": "", "version": "1"}
    assert sorted(told["metadata"]["signature_def"]["signature_def"]) == ["probabilities", "serving_default"]


@pytest.mark.parametrize(
    ("model", "inputs", "outputs"),
    [
        ("iris", {name: ("DT_DOUBLE", [-1]) for name in COLUMNS}, {"prediction": ("DT_STRING", [-1])}),
        ("colours", {"image": ("DT_FLOAT", [-1, 8, 8, 3])}, {"prediction": ("DT_STRING", [-1])}),
        ("writer", {"text": ("DT_STRING", [-1])}, {"prediction": ("DT_DOUBLE", [-1])}),
    ],
)
def test_a_signature_s_tensors_are_described(
    client: requests.Session, model: str, inputs: dict[str, Any], outputs: dict[str, Any]
) -> None:
    told = signature(client, model, "serving_default")
    assert told["method_name"] == "tensorflow/serving/predict"
    for side, wanted in (("inputs", inputs), ("outputs", outputs)):
        assert {name: (tensor["dtype"], shape(tensor)) for name, tensor in told[side].items()} == wanted


def test_the_probabilities_signature_has_a_place_for_each_class(client: requests.Session) -> None:
    tensor = signature(client, "iris", "probabilities")["outputs"]["probabilities"]
    assert (tensor["dtype"], shape(tensor)) == ("DT_FLOAT", [-1, 3])


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({}, 422, "neither of instances and inputs"),
        ({"instances": ROWS, "inputs": ROWS}, 422, "both of instances and inputs"),
        ({"instances": []}, 422, "found an empty list"),
        ({"instances": 7}, 422, "instances"),
        ({"inputs": {"sepal_length": [1, 2], "sepal_width": [1]}}, 422, "the same number in each"),
        ({"instances": [{**ITEMS[0], "sepal_width": "wide"}]}, 422, "sepal_width"),
        ({"instances": [{**ITEMS[0], "sepal_width": [1, 2]}]}, 422, "sepal_width"),
        ({"instances": ROWS, "signature_name": "regress"}, 422, "wanted serving_default or probabilities"),
    ],
)
def test_what_cannot_be_used_is_an_error_with_a_text(
    client: requests.Session, body: dict[str, Any], status: int, message: str
) -> None:
    response = client.post(f"{URL}/v1/models/iris:predict", json=body)
    assert response.status_code == status
    assert message in response.json()["error"]


@pytest.mark.parametrize(
    ("method", "place"),
    [
        ("POST", "nowhere:predict"),
        ("POST", "iris/versions/7:predict"),
        ("POST", "iris/labels/nobody:predict"),
        ("POST", "iris:classify"),
        ("GET", "iris/versions/7"),
        ("GET", "iris/labels/nobody/metadata"),
        ("GET", "nowhere/metadata"),
    ],
)
def test_what_is_not_there_is_an_error_with_a_text(client: requests.Session, method: str, place: str) -> None:
    response = client.request(
        method, f"{URL}/v1/models/{place}", json={"instances": ROWS} if method == "POST" else None
    )
    assert (response.status_code, response.json()) == (404, {"error": "not found"})


def test_no_json_and_no_key_are_errors_with_a_text(client: requests.Session) -> None:
    response = client.post(f"{URL}/v1/models/iris:predict", data='{"instances": [NaN]}')
    assert response.status_code == 400
    assert "NaN is not JSON" in response.json()["error"]
    response = requests.post(f"{URL}/v1/models/iris:predict", json={"instances": ROWS}, timeout=30)
    assert response.status_code == 401
    assert "no valid API key" in response.json()["error"]
