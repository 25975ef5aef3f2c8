"""What Triton's own client sees over HTTP; run by its environment's pytest. SERVICE_URL, SERVICE_KEY; models `iris`, `colours`, `writer`."""

import base64
import io
import os
import struct
import zlib

import numpy as np
import pytest
from tritonclient import http
from tritonclient.utils import InferenceServerException

URL = os.environ["SERVICE_URL"].removeprefix("http://")
COLUMNS = ("sepal_length", "sepal_width", "petal_length", "petal_width")
ROWS = np.array([[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5]])
RIGHT = [b"setosa", b"virginica"]


@pytest.fixture
def client() -> http.InferenceServerClient:
    return http.InferenceServerClient(URL)


def key() -> dict[str, str]:
    """New for each request, as the client writes into what it is given."""
    return {"authorization": f"Bearer {os.environ['SERVICE_KEY']}"}


def given(name: str, values: np.ndarray, datatype: str, binary: bool = True) -> http.InferInput:
    tensor = http.InferInput(name, list(values.shape), datatype)
    tensor.set_data_from_numpy(values, binary_data=binary)
    return tensor


def texts(values: np.ndarray) -> list[bytes]:
    return [value.encode() if isinstance(value, str) else value for value in values.ravel()]


def test_the_server_and_its_models_are_live_ready_and_described(client: http.InferenceServerClient) -> None:
    assert client.is_server_live(headers=key())
    assert client.is_server_ready(headers=key())
    assert client.is_model_ready("iris", headers=key())
    assert client.is_model_ready("iris", "1", headers=key())
    assert not client.is_model_ready("nowhere", headers=key())
    assert not client.is_model_ready("iris", "7", headers=key())
    assert client.get_server_metadata(headers=key())["name"] == "millrace"
    described = client.get_model_metadata("iris", headers=key())
    assert [one["name"] for one in described["inputs"]] == list(COLUMNS)
    assert [one["name"] for one in described["outputs"]] == ["prediction", "probabilities"]
    assert described["versions"] == ["1"]
    assert client.get_model_config("iris", headers=key())["max_batch_size"] == 1024
    index = client.get_model_repository_index(headers=key())
    assert [(one["name"], one["state"]) for one in index] == [(name, "READY") for name in ("iris", "colours", "writer")]


@pytest.mark.parametrize("sent", [True, False])
@pytest.mark.parametrize("back", [True, False])
def test_a_table_s_columns_in_binary_and_json(client: http.InferenceServerClient, sent: bool, back: bool) -> None:
    inputs = [given(name, column, "FP64", sent) for name, column in zip(COLUMNS, ROWS.T.copy(), strict=True)]
    outputs = [http.InferRequestedOutput(name, binary_data=back) for name in ("probabilities", "prediction")]
    answer = client.infer("iris", inputs, outputs=outputs, headers=key(), request_id="mine-1")
    assert texts(answer.as_numpy("prediction")) == RIGHT
    assert answer.as_numpy("probabilities").shape == (2, 3)
    assert answer.as_numpy("probabilities").dtype == np.float32
    assert np.allclose(answer.as_numpy("probabilities").sum(axis=1), 1, atol=1e-5)
    told = answer.get_response()
    assert (told["id"], told["model_name"], told["model_version"]) == ("mine-1", "iris", "1")
    assert [output["name"] for output in told["outputs"]] == ["probabilities", "prediction"]


@pytest.mark.parametrize(("datatype", "kind"), [("FP16", "<f2"), ("FP32", "<f4"), ("FP64", "<f8")])
def test_all_columns_in_one_tensor(client: http.InferenceServerClient, datatype: str, kind: str) -> None:
    answer = client.infer("iris", [given("x", ROWS.astype(kind), datatype)], headers=key())
    assert texts(answer.as_numpy("prediction")) == RIGHT


def test_a_version_compressed_bodies_and_requests_under_way(client: http.InferenceServerClient) -> None:
    inputs = [given("x", ROWS.astype("<f4"), "FP32")]
    for algorithm in ("gzip", None):
        answer = client.infer("iris", inputs, model_version="1", headers=key(), request_compression_algorithm=algorithm)
        assert texts(answer.as_numpy("prediction")) == RIGHT
    asked = [client.async_infer("iris", inputs, headers=key()) for _ in range(5)]
    assert all(texts(one.get_result().as_numpy("prediction")) == RIGHT for one in asked)


def test_a_body_made_apart_is_taken(client: http.InferenceServerClient) -> None:
    body, length = client.generate_request_body([given("x", ROWS.astype("<f4"), "FP32")])
    assert length is not None
    answer = client.infer("iris", [given("x", ROWS.astype("<f4"), "FP32")], headers=key())
    parsed = http.InferenceServerClient.parse_response_body(*_raw(body, length))
    assert np.array_equal(parsed.as_numpy("probabilities"), answer.as_numpy("probabilities"))


def _raw(body: bytes, length: int) -> tuple[bytes, bool, int | None]:
    from urllib.request import Request, urlopen

    headers = {**key(), "Inference-Header-Content-Length": str(length), "Content-Type": "application/octet-stream"}
    with urlopen(Request(f"http://{URL}/v2/models/iris/infer", data=body, headers=headers)) as response:
        told = response.headers.get("Inference-Header-Content-Length")
        return response.read(), False, int(told) if told else None


def png(colour: tuple[int, int, int]) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = io.BytesIO(b"".join(b"\0" + bytes(colour) * 9 for _ in range(9))).getvalue()
    head = struct.pack(">IIBBBBB", 9, 9, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("sent", [True, False])
def test_images_as_pixels_and_as_files(client: http.InferenceServerClient, sent: bool) -> None:
    pixels = np.zeros((2, 8, 8, 3), np.uint8)
    pixels[0, ..., 2] = pixels[1, ..., 0] = 200
    name = client.get_model_metadata("colours", headers=key())["inputs"][0]["name"]
    answer = client.infer("colours", [given(name, pixels, "UINT8", sent)], headers=key())
    assert texts(answer.as_numpy("prediction")) == [b"blue", b"red"]
    files = np.array([base64.b64encode(png(colour)) for colour in ((0, 0, 200), (200, 0, 0))], dtype=object)
    for values in (files, files.reshape(2, 1)):
        answer = client.infer("colours", [given(name, values, "BYTES", sent)], headers=key())
        assert texts(answer.as_numpy("prediction")) == [b"blue", b"red"]


def test_a_language_model_s_texts_are_scored(client: http.InferenceServerClient) -> None:
    values = np.array(["def ün(x😀):".encode(), b"zzz"], dtype=object)
    answer = client.infer("writer", [given("text", values, "BYTES")], headers=key())
    known, unknown = answer.as_numpy("prediction")
    assert known < unknown


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([given("x", ROWS[:, :3].copy(), "FP64")], r"found the shape \[2, 3\], wanted \[items, 4\]"),
        ([given("y", ROWS, "FP64")], "unknown column 'y'|found the shape"),
        ([given("sepal_length", ROWS[:, 0].copy(), "FP64")], "sepal_width"),
        ([given("x", np.full((1, 4), np.nan), "FP64")], "item 0"),
        ([given("x", np.zeros((2000, 4)), "FP64")], "at most 1024"),
    ],
)
def test_what_cannot_be_used_is_the_client_s_exception_with_our_message(
    client: http.InferenceServerClient, inputs: list[http.InferInput], message: str
) -> None:
    with pytest.raises(InferenceServerException, match=message):
        client.infer("iris", inputs, headers=key())


def test_outputs_models_and_keys_that_are_not_there(client: http.InferenceServerClient) -> None:
    inputs = [given("x", ROWS, "FP64")]
    with pytest.raises(InferenceServerException, match="wanted one of prediction, probabilities"):
        client.infer("iris", inputs, outputs=[http.InferRequestedOutput("logits")], headers=key())
    with pytest.raises(InferenceServerException, match="classification, which is not offered"):
        client.infer("iris", inputs, outputs=[http.InferRequestedOutput("prediction", class_count=2)], headers=key())
    with pytest.raises(InferenceServerException, match="not found"):
        client.infer("nowhere", inputs, headers=key())
    with pytest.raises(InferenceServerException, match="no valid API key"):
        client.infer("iris", inputs)
