"""Image and sound files sent to the real service: base64 within the JSON, decoded off the event loop, bounded before decoding."""

import base64
import json
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import pytest
from handmade import Running, release, serving, write_files
from media import BLUE, RED, picture
from onnx import TensorProto, helper, numpy_helper

from storage.objects import open_store
from storage.registry import open_registry
from tasks.inference.predictor import Predictor

SHAPE = [8, 8, 3]


def colour_model() -> bytes:
    """Blue or red: the difference of the means of two channels."""
    weights = np.zeros((3, 64, 2), np.float32)
    weights[2, :, 0] = weights[0, :, 1] = 1 / 64
    graph = helper.make_graph(
        [helper.make_node("Flatten", ["x"], ["flat"]), helper.make_node("MatMul", ["flat", "weights"], ["y"])],
        "model",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 2])],
        [numpy_helper.from_array(weights.reshape(192, 2), "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def files() -> dict[str, bytes]:
    target = {"name": "label", "classes": ["blue", "red"]}
    fitted = {
        "name": "image",
        "shape": SHAPE,
        "maximum": 255,
        "mean": [0.5] * 3,
        "std": [0.5] * 3,
        "resize": "letterbox",
    }
    data = {"version": 1, "kind": "image", "task": "classification", "input": fitted, "target": target, "example": None}
    described = {"family": "cnn", "task": "classification", "classes": target["classes"], "outputs": 2}
    return {
        "model.onnx": colour_model(),
        "model.json": json.dumps(described).encode(),
        "recipe.json": b'{"name": "whole", "passes": []}',
        "transforms/transforms.json": json.dumps(data).encode(),
    }


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("colours")
    store = open_store(str(folder / "store"))
    registry = open_registry(store.url)
    predictor = Predictor.load(write_files(files(), folder / "made"))
    items: list[Any] = [np.full(SHAPE, 7).tolist(), text(picture((8, 8), RED))]
    predictions, outputs = predictor.predict(predictor.parse(items))
    golden = {"items": items, "predictions": predictions, "outputs": outputs.tolist()}
    release(store, registry, "colours", files(), **{"golden.json": json.dumps(golden).encode()})
    registry.promote("colours", 1)
    with serving(store, folder, name="colours") as running:
        yield running


def text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def test_files_of_any_size_and_nested_lists_are_answered_together(service: Running):
    jpeg = "data:image/jpeg;base64," + text(picture((300, 200), RED, format="JPEG"))
    pixels = np.broadcast_to(BLUE, SHAPE).tolist()
    items = [text(picture((16, 9), BLUE)), jpeg, pixels, {"image": text(picture((8, 8), RED))}]
    answer = service.client.post("/predict", json={"input_data": items})
    assert answer.json()["prediction"] == ["blue", "red", "blue", "red"]


def test_a_file_that_cannot_be_decoded_is_refused_by_its_number(service: Running):
    answer = service.client.post("/predict", json={"input_data": [text(picture((8, 8))), text(picture((8, 8))[:48])]})
    assert answer.status_code == 422
    assert answer.json()["error"]["item"] == 1
    assert "found a damaged image" in answer.json()["error"]["message"]


def test_a_small_file_that_claims_many_pixels_is_refused_at_once(service: Running):
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 30_000, 30_000, 1, 0, 0, 0, 0))
    bomb = b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(30_000 * 3751))) + chunk(b"IEND", b"")
    answer = service.client.post("/predict", json={"input_data": [text(bomb)]})
    assert answer.status_code == 422
    assert "50,000,000" in answer.json()["error"]["message"]


def test_the_openapi_document_says_that_an_item_may_be_a_file(service: Running):
    document = service.client.get("/openapi.json").json()
    content = document["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]
    assert {"type": "string", "contentEncoding": "base64", "contentMediaType": "image/*"} in (
        content["schema"]["properties"]["input_data"]["items"]["anyOf"]
    )
