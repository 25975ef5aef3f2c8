"""Rows like those of UCI Adult, drawn from a seed, and a released model for them: mixed columns, one-hot, a small network."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
from onnx import TensorProto, helper, numpy_helper

from storage.manifests import Manifest, put_blobs, put_manifest
from storage.objects import open_store
from storage.registry import open_registry

NAME = "adult"
NUMBERS = {  # name: least, greatest
    "age": (17, 90),
    "fnlwgt": (12_285, 1_490_400),
    "education_num": (1, 16),
    "capital_gain": (0, 99_999),
    "capital_loss": (0, 4_356),
    "hours_per_week": (1, 99),
}
CATEGORIES = {  # name: how many values, as in Adult
    "workclass": 8,
    "education": 16,
    "marital_status": 7,
    "occupation": 14,
    "relationship": 6,
    "race": 5,
    "sex": 2,
    "native_country": 41,
}
CLASSES = ("<=50K", ">50K")
MISSING_SHARE = 0.02  # of the values of the first and of the last category


def draw_rows(rows: int, seed: int) -> pa.Table:
    """So many rows, with an `id`; the same for the same seed."""
    rng = np.random.default_rng(seed)
    columns: dict[str, Any] = {"id": np.arange(rows) + seed * rows}
    columns |= {name: rng.integers(low, high + 1, rows) for name, (low, high) in NUMBERS.items()}
    for name, count in CATEGORIES.items():
        words = pa.array([f"{name}-{number}" for number in range(count)])
        missing = rng.random(rows) < MISSING_SHARE if name in ("workclass", "native_country") else np.zeros(rows, bool)
        columns[name] = words.take(pa.array(rng.integers(0, count, rows), mask=missing))
    return pa.table(columns)


def write_rows(folder: Path, rows: int, files: int) -> None:
    """So many rows in so many Parquet files below `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(files):
        pq.write_table(draw_rows(rows // files, number), folder / f"part-{number:03d}.parquet")


def adult_files(hidden: int = 64, seed: int = 0) -> dict[str, bytes]:
    """An artifact's files: an untrained network of two layers; another `seed` gives another model."""
    numbers = [
        {"name": name, "type": "integer", "nullable": False, "minimum": float(low), "maximum": float(high)}
        | {"median": (low + high) / 2, "mean": (low + high) / 2, "std": (high - low) / 4}
        for name, (low, high) in NUMBERS.items()
    ]
    categories = [
        {"name": name, "type": "category", "nullable": True, "missing": ["", "?"]}
        | {"values": [f"{name}-{number}" for number in range(count)]}
        for name, count in CATEGORIES.items()
    ]
    example = draw_rows(1, 0).drop_columns(["id"]).to_pylist()[0]
    data = {"version": 1, "kind": "table", "task": "classification", "input": {"columns": [*numbers, *categories]}}
    transforms = {**data, "target": {"name": "income", "classes": CLASSES}, "example": example}
    width = len(numbers) + sum(count + 2 for count in CATEGORIES.values())
    return {
        "model.onnx": _network(width, hidden, seed),
        "model.json": json.dumps(
            {"family": "mlp", "task": "classification", "classes": CLASSES, "outputs": 2}
        ).encode(),
        "recipe.json": b'{"name": "whole", "passes": []}',
        "transforms/transforms.json": json.dumps(transforms).encode(),
    }


def release_adult(store_url: str, seed: int = 0) -> None:
    """Register such a model, and point the alias champion at it."""
    store = open_store(store_url)
    files = put_blobs(store, adult_files(seed=seed))
    artifact = put_manifest(store, Manifest("artifact", files, {}))
    extra = put_blobs(store, {"profile.json": b"{}", "golden.json": b'{"items": [], "predictions": [], "outputs": []}'})
    release = put_manifest(store, Manifest("release", {**files, **extra}, {"model": NAME, "artifact": artifact}))
    registry = open_registry(store.url)
    registry.promote(NAME, registry.register(NAME, artifact, release))


def _network(width: int, hidden: int, seed: int) -> bytes:
    rng = np.random.default_rng(seed)
    sizes = [width, hidden, hidden, len(CLASSES)]
    nodes, arrays, last = [], {}, "x"
    for number, (rows, columns) in enumerate(pairwise(sizes)):
        arrays |= {f"w{number}": rng.normal(0, rows**-0.5, (rows, columns)), f"b{number}": np.zeros(columns)}
        is_last = number == len(sizes) - 2
        out = "y" if is_last else f"h{number}"
        nodes.append(helper.make_node("Gemm", [last, f"w{number}", f"b{number}"], [out if is_last else f"{out}g"]))
        nodes += [] if is_last else [helper.make_node("Relu", [f"{out}g"], [out])]
        last = out
    graph = helper.make_graph(
        nodes,
        "model",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", width])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", len(CLASSES)])],
        [numpy_helper.from_array(array.astype(np.float32), name) for name, array in arrays.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()
