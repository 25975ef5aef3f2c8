"""scikit-learn estimators as graphs: they answer as the estimator does, whole or truncated."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import ModelProto
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits

from tasks.estimators.conversion import to_graph
from tasks.estimators.families import outputs
from tasks.estimators.fitting import fit
from tasks.graphs.canonical import to_bytes
from tasks.graphs.truncate import truncate_trees
from tasks.recipes import default_recipes
from tasks.sections import SklearnOptions, TrainSection
from tasks.splits import Split

ITERATIONS = 12
ESTIMATORS = ("hist_gradient_boosting", "random_forest", "linear", "svm")


def rows_of(name: str) -> tuple[np.ndarray, np.ndarray, str, int]:
    if name == "images":
        digits = load_digits()
        return (digits.images[:400, None] / 16).astype(np.float32), digits.target[:400], "classification", 10
    if name == "two classes":
        cancer = load_breast_cancer()
        x = (cancer.data - cancer.data.mean(0)) / cancer.data.std(0)
        return x.astype(np.float32), cancer.target, "classification", 2
    diabetes = load_diabetes()
    y = (diabetes.target - diabetes.target.mean()) / diabetes.target.std()
    return diabetes.data.astype(np.float32), y.astype(np.float32), "regression", 1


def fitted(estimator: str, data: str, iterations: int = ITERATIONS) -> tuple[Any, np.ndarray, ModelProto]:
    x, y, task, outputs_count = rows_of(data)
    options = SklearnOptions(estimator=estimator, iterations=iterations)  # pyright: ignore
    section = TrainSection(family="sklearn", sklearn=options)
    split = Split(x, y)
    model, _ = fit(section, task, split, split, lambda *_, **__: None)
    return model, x, to_graph(model, x.shape[1:], task, outputs_count)


def answer(graph: ModelProto, x: np.ndarray) -> np.ndarray:
    return np.asarray(onnxruntime.InferenceSession(to_bytes(graph)).run(["y"], {"x": x})[0])


@pytest.mark.parametrize("data", ["images", "two classes", "numbers"])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_graph_answers_as_its_estimator_at_any_batch_size(estimator: str, data: str) -> None:
    model, x, graph = fitted(estimator, data)
    expected = outputs(model, x.reshape(len(x), -1))
    session = onnxruntime.InferenceSession(to_bytes(graph))
    for size in (1, 7, 32):
        found = np.concatenate([np.asarray(session.run(["y"], {"x": x[i : i + size]})[0]) for i in range(0, 96, size)])
        np.testing.assert_allclose(found, expected[: len(found)], atol=1e-4)
    assert found.dtype == np.float32


@pytest.mark.parametrize("data", ["images", "two classes", "numbers"])
@pytest.mark.parametrize("estimator", ["hist_gradient_boosting", "random_forest"])
def test_a_truncated_ensemble_is_the_one_that_was_fitted_with_fewer_trees(estimator: str, data: str) -> None:
    model, x, graph = fitted(estimator, data)
    shorter, _, _ = fitted(estimator, data, iterations=5)
    keep = 5 * getattr(model, "n_trees_per_iteration_", 1)
    found = answer(truncate_trees(graph, keep, averaged=estimator == "random_forest"), x)
    np.testing.assert_allclose(found, outputs(shorter, x.reshape(len(x), -1)), atol=1e-5)


def run(program: str, folder: Path, job: dict[str, Any]) -> list[dict[str, Any]]:
    folder.mkdir()
    (folder / "job.json").write_text(json.dumps(job | {"output": str(folder / "output")}))
    argv = [sys.executable, "-m", program, str(folder / "job.json")]
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == (2 if "error" in events[-1] else 0), done.stderr
    return events


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("features")
    x, y, _, _ = rows_of("two classes")
    for split, rows in {"train": slice(0, 300), "validation": slice(300, 400), "test": slice(400, 569)}.items():
        (folder / split).mkdir()
        np.save(folder / split / "x.npy", x[rows])
        np.save(folder / split / "y.npy", y[rows])
    return folder


META = {"task": "classification", "classes": ["benign", "malignant"], "input": {"shape": [30], "dtype": "float32"}}
SECTION = {"family": "sklearn", "sklearn": {"estimator": "random_forest", "iterations": 30}, "device": "cpu"}


def test_a_forest_goes_through_its_programs(features: Path, tmp_path: Path) -> None:
    job = {"features": str(features), "meta": META}
    events = run(
        "tasks.estimators.trainer", tmp_path / "model", job | {"section": SECTION, "checkpoints": str(tmp_path)}
    )
    assert [event["event"] for event in events[:-1]] == ["start", *["progress"] * 10, "done"]
    assert events[-1]["usage"]["wall_seconds"] > 0
    sizes = {}
    for recipe in default_recipes("sklearn", "random_forest"):
        passes = {
            "recipe": recipe.model_dump(mode="json"),
            "model": str(tmp_path / "model" / "output"),
            "train": SECTION,
        }
        run("tasks.nn.compressor", tmp_path / recipe.name, job | passes)
        output = tmp_path / recipe.name / "output"
        sizes[recipe.name] = (output / "model.onnx").stat().st_size
        x, y = np.load(features / "test" / "x.npy"), np.load(features / "test" / "y.npy")
        session = onnxruntime.InferenceSession(output / "model.onnx")
        assert (np.asarray(session.run(["y"], {"x": x})[0]).argmax(1) == y).mean() > 0.9, recipe.name
    whole = (tmp_path / "model" / "output" / "model.onnx").stat().st_size
    assert sizes["half-the-trees"] < 0.6 * whole
    assert sizes["distilled-mlp-int8"] < sizes["distilled-mlp"]
    half = json.loads((tmp_path / "half-the-trees" / "output" / "model.json").read_bytes())
    assert half["options"]["trees"] == 15


def test_a_truncating_compressor_never_loads_torch() -> None:
    check = "import sys, tasks.nn.compressor, tasks.nn.truncate, tasks.nn.teachers; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_token_ids_are_refused_by_an_estimator(features: Path, tmp_path: Path) -> None:
    meta = META | {"input": {"shape": [30], "dtype": "int32"}}
    job = {"features": str(features), "meta": meta, "section": SECTION, "checkpoints": str(tmp_path)}
    [error] = run("tasks.estimators.trainer", tmp_path / "model", job)
    assert "choose textcnn" in error["error"]
