"""A model of pictures made by hand: blue or red, by the means of two channels."""

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from handmade import release, write_files
from media import RED, picture
from onnx import TensorProto, helper, numpy_helper

from storage.objects import ObjectStore, open_store
from storage.registry import Registry, open_registry
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


def colour_files() -> dict[str, bytes]:
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


def text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def colour_store(folder: Path) -> tuple[ObjectStore, Registry]:
    """A store with one version of the model `colours`, which is the champion."""
    store = open_store(str(folder / "store"))
    registry = open_registry(store.url)
    predictor = Predictor.load(write_files(colour_files(), folder / "made-colours"))
    items: list[Any] = [np.full(SHAPE, 7).tolist(), text(picture((8, 8), RED))]
    predictions, outputs = predictor.predict(predictor.parse(items))
    golden = {"items": items, "predictions": predictions, "outputs": outputs.tolist()}
    release(store, registry, "colours", colour_files(), **{"golden.json": json.dumps(golden).encode()})
    registry.promote("colours", 1)
    return store, registry
