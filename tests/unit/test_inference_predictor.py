"""Predicting, parity in a fresh process, latencies."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from handmade import CLASSES, ITEMS, ROWS, golden_of, iris_files, onnx_model, transforms_json, write_files
from onnxruntime.quantization import QuantType, quantize_dynamic

from tasks.inference.latency import measure
from tasks.inference.predictor import Predictor
from tasks.transforms.items import ItemError


@pytest.fixture
def predictor(tmp_path: Path) -> Predictor:
    return Predictor.load(write_files(iris_files(), tmp_path / "artifact"))


def parity(folder: Path, golden: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    job = {"artifact": str(folder / "artifact"), "golden": golden, "tolerance": 1e-4}
    (folder / "job.json").write_text(json.dumps(job))
    command = [sys.executable, "-m", "tasks.inference.parity", str(folder / "job.json")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    return ended.returncode, json.loads(ended.stdout)


def test_logits_become_probabilities_of_the_classes(predictor: Predictor) -> None:
    predictions, outputs_BK = predictor.predict(predictor.parse(ITEMS))
    assert outputs_BK.shape == (150, 3)
    assert outputs_BK.dtype == np.float32
    assert np.allclose(outputs_BK.sum(axis=1), 1.0, atol=1e-6)
    assert predictions == [CLASSES[best] for best in outputs_BK.argmax(axis=1)]


def test_many_rows_are_done_in_pieces_with_the_same_outputs(predictor: Predictor) -> None:
    features = predictor.transforms.features(predictor.parse(ITEMS * 7))
    whole = predictor.outputs(features)
    assert np.array_equal(whole, np.concatenate([predictor.outputs(features[:500]), predictor.outputs(features[500:])]))


def test_a_row_of_a_dynamic_int8_model_has_the_same_outputs_in_any_company(tmp_path: Path) -> None:
    files = write_files(iris_files(), tmp_path)
    quantize_dynamic(files["model.onnx"], files["model.onnx"], weight_type=QuantType.QInt8)
    predictor = Predictor.load(files)
    together = predictor.outputs(predictor.transforms.features(predictor.parse(ITEMS)))
    alone = [predictor.outputs(predictor.transforms.features(predictor.parse([item])))[0] for item in ITEMS]
    assert np.array_equal(together, alone)


def test_no_rows_give_no_outputs(predictor: Predictor) -> None:
    assert predictor.outputs(np.empty((0, 4), dtype=np.float32)).shape == (0, 3)


def test_a_row_without_a_finite_output_is_named(predictor: Predictor) -> None:
    with pytest.raises(ItemError, match="item 1: the model has no finite answer") as error:
        predictor.predict(predictor.parse([[1, 2, 3, 4], [1, 2, 3, 1e38], [1, 2, 3, 4]]))
    assert error.value.index == 1


def test_a_regression_answers_in_the_unit_of_its_target(tmp_path: Path) -> None:
    files = {
        "model.onnx": onnx_model(np.zeros((4, 1)), np.array([0.5])),
        "model.json": b'{"family": "mlp", "task": "regression", "outputs": 1}',
        "transforms/transforms.json": transforms_json({"name": "price", "mean": 100.0, "std": 20.0}),
    }
    predictor = Predictor.load(write_files(files, tmp_path))
    predictions, outputs = predictor.predict(predictor.parse(ITEMS[:2]))
    assert predictions == [110.0, 110.0]
    assert outputs.tolist() == [[0.5], [0.5]]


def test_parity_holds_in_a_process_that_only_has_what_serves(tmp_path: Path, predictor: Predictor) -> None:
    code, line = parity(tmp_path, golden_of(predictor))
    assert (code, line["rows"], line["batches"]) == (0, 9, [1, 32, 17])
    assert line["max_difference"] < 1e-6


def test_parity_names_an_output_that_differs(tmp_path: Path, predictor: Predictor) -> None:
    golden = golden_of(predictor)
    golden["outputs"][4][0] += 0.01
    code, line = parity(tmp_path, golden)
    assert code == 1
    assert "golden item 4 in a batch of" in line["error"]


def test_latencies_compare_with_the_baseline(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    layers = {name: onnx_model(generator.normal(size=(size, 4)), np.zeros(4)) for name, size in [("s", 4), ("l", 4)]}
    paths = write_files({f"{name}.onnx": content for name, content in layers.items()}, tmp_path)
    found = measure({"same": paths["s.onnx"]}, paths["l.onnx"], np.asarray(ROWS, dtype=np.float32), rounds=5)
    for batch in ("b1", "b32"):
        figures = found["same"][batch]
        assert figures["low"] <= figures["ratio"] <= figures["high"]
        assert figures["latency_us"] > 0
