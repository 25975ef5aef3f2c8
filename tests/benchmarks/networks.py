"""Networks made by hand for benchmarks of serving: seeded weights, digits' images (8×8, 0 to 16) in, ten classes out."""

import itertools
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from handmade import release, write_files
from onnx import TensorProto, helper, numpy_helper

from storage.objects import ObjectStore, open_store
from storage.registry import open_registry
from tasks.inference.graphs import open_graph
from tasks.inference.predictor import Predictor

NAME = "digits"
PIXELS, MAXIMUM = (8, 8), 16
CLASSES = [str(digit) for digit in range(10)]
MODELS = {"small": (64, 512, 512, 10), "wide": (64, 2048, 2048, 2048, 10)}  # 0.3 and 8.5 million weights
BATCH_ROWS = 64


def network(widths: tuple[int, ...], seed: int = 0) -> bytes:
    """ONNX: (B, 1, 8, 8) → (B, 10) logits, by layers of these widths with ReLU between them."""
    rng = np.random.default_rng(seed)
    nodes, arrays, last = [helper.make_node("Flatten", ["x"], ["flat"])], [], "flat"
    for number, (inputs, outputs) in enumerate(itertools.pairwise(widths)):
        weights = rng.normal(size=(inputs, outputs)) * np.sqrt(2 / inputs)  # He 2015
        arrays.append(numpy_helper.from_array(weights.astype(np.float32), f"w{number}"))
        arrays.append(numpy_helper.from_array(np.zeros(outputs, np.float32), f"b{number}"))
        end = number == len(widths) - 2
        nodes.append(
            helper.make_node("Gemm", [last, f"w{number}", f"b{number}"], [last := "y" if end else f"h{number}"])
        )
        if not end:
            nodes.append(helper.make_node("Relu", [last], [last := f"r{number}"]))
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 1, *PIXELS])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", widths[-1]])
    graph = helper.make_graph(nodes, "model", [x], [y], arrays)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def images(count: int, seed: int = 0) -> list[Any]:
    """Images as a client sends them: lists of lists of whole numbers."""
    return np.random.default_rng(seed).integers(0, MAXIMUM + 1, (count, *PIXELS)).tolist()


def artifact(model: str, seed: int = 0) -> dict[str, bytes]:
    """The files of an artifact with the network `small` or `wide`."""
    given = {"name": "image", "shape": [*PIXELS, 1], "maximum": MAXIMUM, "mean": [0.0], "std": [1.0]}
    fitted = {"version": 1, "kind": "image", "task": "classification", "input": given}
    fitted |= {"target": {"name": "digit", "classes": CLASSES}, "example": images(1)[0]}
    return {
        "model.onnx": network(MODELS[model], seed),
        "model.json": json.dumps({"family": "mlp", "task": "classification", "classes": CLASSES}).encode(),
        "recipe.json": b'{"name": "whole", "passes": []}',
        "transforms/transforms.json": json.dumps(fitted).encode(),
    }


def released(folder: Path, files: dict[str, bytes], items: list[Any], name: str = NAME) -> ObjectStore:
    """A store in `folder` with one version of the model, which is the champion; its golden requests are `items`."""
    store = open_store(str(folder / "store"))
    registry = open_registry(store.url)
    predictor = Predictor.load(write_files(files, folder / "made"))
    predictions, outputs = predictor.predict(predictor.parse(items))
    golden = {"items": items, "predictions": predictions, "outputs": outputs.tolist()}
    release(store, registry, name, files, **{"golden.json": json.dumps(golden).encode()})
    registry.promote(name, 1)
    return store


def bare_cpu_us_per_row(model: Path, rows: np.ndarray, seconds: float = 1.0) -> float:
    """The ideal: CPU microseconds a row of the forward alone, over all `rows` at once, on one thread."""
    graph = open_graph(model)
    graph.run(rows)
    end, forwards, started = time.perf_counter() + seconds, 0, time.process_time()
    while time.perf_counter() < end:
        graph.run(rows)
        forwards += 1
    return (time.process_time() - started) / forwards / len(rows) * 1e6
