"""Releases made by hand for tests of serving: a logistic regression on the irises, and the real service over it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
from commands import environment
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from storage.manifests import Manifest, put_blobs, put_manifest
from storage.objects import ObjectStore, open_store
from storage.registry import Registry, open_registry
from tasks.inference.predictor import Predictor

COLUMNS = ("sepal_length", "sepal_width", "petal_length", "petal_width")
CLASSES = ("setosa", "versicolor", "virginica")
ROWS, TARGETS = load_iris(return_X_y=True)
ITEMS = [dict(zip(COLUMNS, row, strict=True)) for row in ROWS.tolist()]


def onnx_model(weights_FK: np.ndarray, bias_K: np.ndarray, **changes: Any) -> bytes:
    """`y = x · weights + bias` as ONNX."""
    features, outputs = weights_FK.shape
    arrays = {"weights": weights_FK, "bias": bias_K}
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["x", "weights", "bias"], ["y"])],
        "model",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", features])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", outputs])],
        [numpy_helper.from_array(array.astype(np.float32), name) for name, array in arrays.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, **changes)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def transforms_json(target: dict[str, Any]) -> bytes:
    """Four numbers, scaled by the irises' means and deviations."""
    columns = [
        {"name": name, "type": "number", "nullable": False, "minimum": None, "maximum": None}
        | {"median": float(np.median(values)), "mean": float(values.mean()), "std": float(values.std())}
        for name, values in zip(COLUMNS, ROWS.T, strict=True)
    ]
    task = "classification" if "classes" in target else "regression"
    data = {"version": 1, "kind": "table", "task": task, "input": {"columns": columns}, "target": target}
    return json.dumps({**data, "example": ITEMS[0]}).encode()


def iris_files(strength: float = 1.0) -> dict[str, bytes]:
    """An artifact's files; another `strength` of regularisation gives another model."""
    scaled = (ROWS - ROWS.mean(axis=0)) / ROWS.std(axis=0)
    fitted = LogisticRegression(C=strength, max_iter=500).fit(scaled, TARGETS)
    return {
        "model.onnx": onnx_model(fitted.coef_.T, fitted.intercept_),
        "model.json": json.dumps(
            {"family": "mlp", "task": "classification", "classes": CLASSES, "outputs": 3}
        ).encode(),
        "recipe.json": b'{"name": "whole", "passes": []}',
        "transforms/transforms.json": transforms_json({"name": "species", "classes": CLASSES}),
    }


def write_files(files: dict[str, bytes], folder: Path) -> dict[str, Path]:
    """`files` below `folder`, by name."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return {name: folder / name for name in files}


def golden_of(predictor: Predictor, count: int = 9) -> dict[str, Any]:
    """`count` golden requests with the predictor's own answers."""
    items = ITEMS[:: len(ITEMS) // count][:count]
    predictions, outputs = predictor.predict(predictor.parse(items))
    return {"items": items, "predictions": predictions, "outputs": outputs.tolist()}


def release(store: ObjectStore, registry: Registry, name: str, files: dict[str, bytes], **extra: bytes) -> int:
    """Store and register a release of `files`; the version. `extra`: other files that replace what would be stored."""
    if "golden.json" not in extra:
        folder = Path(store.url + "-made") / str(len(registry.entries(name)))
        extra["golden.json"] = json.dumps(golden_of(Predictor.load(write_files(files, folder)))).encode()
    artifact = put_manifest(store, Manifest("artifact", put_blobs(store, files), {}))
    blobs = put_blobs(store, {**files, "profile.json": b"{}", **extra})
    return registry.register(
        name, artifact, put_manifest(store, Manifest("release", blobs, {"model": name, "artifact": artifact}))
    )


def iris_store(folder: Path, versions: int = 1) -> tuple[ObjectStore, Registry]:
    """A store with `versions` versions of the model `iris`; version 1 is the champion."""
    store = open_store(str(folder / "store"))
    registry = open_registry(store.url)
    for number in range(versions):
        release(store, registry, "iris", iris_files(strength=10.0**number))
    registry.promote("iris", 1)
    return store, registry


@dataclass(frozen=True)
class Running:
    """A service that runs: a client for it, its first line, its process, and what it wrote to stderr."""

    client: httpx.Client
    first_line: dict[str, Any]
    process: subprocess.Popen[str]
    log: Path

    def metric(self, line: str) -> float:
        """The value of the metric whose line begins with `line`; 0 where nothing was counted yet."""
        text = self.client.get("/metrics").text
        values = (float(found.rpartition(" ")[2]) for found in text.splitlines() if found.startswith(line + " "))
        return next(values, 0.0)


@contextmanager
def serving(store: ObjectStore, folder: Path, *options: str, name: str = "iris") -> Iterator[Running]:
    """The real service as a process, without keys unless `options` name a key file."""
    options = options if "--keys" in options else (*options, "--no-auth")
    command = [sys.executable, "-m", "tasks.service", "--storage", store.url, "--model", name, "--poll-seconds", "0.05"]
    log = folder / "service.log"
    with log.open("w") as stderr:
        process = subprocess.Popen(
            [*command, *options], stdout=subprocess.PIPE, stderr=stderr, text=True, env=environment(folder / "root")
        )
    try:
        line = process.stdout.readline() if process.stdout else ""
        if not line:
            raise AssertionError(f"the service did not start: {log.read_text()}")
        first_line = json.loads(line)
        with httpx.Client(base_url=first_line["url"], timeout=30, trust_env=False) as client:
            yield Running(client, first_line, process, log)
    finally:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()
