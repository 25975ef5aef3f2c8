"""Metrics against scikit-learn's, and what happens at the edges."""

import json

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from storage.errors import SchemaError
from tasks.scoring.metrics import Scores, score

HOW = {"confidence": 0.95, "resamples": 500, "seed": 0}


def answers(rows: int, classes: int, strength: float = 1.5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    y = random.integers(0, classes, rows)
    logits = random.normal(size=(rows, classes)) + strength * np.eye(classes)[y]
    return y, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def scored(y: np.ndarray, outputs: np.ndarray) -> Scores:
    return score("classification", [str(index) for index in range(outputs.shape[1])], y, outputs, **HOW)


@pytest.mark.parametrize("classes", [2, 5])
def test_the_values_are_scikit_learns(classes: int) -> None:
    y, outputs = answers(400, classes)
    found = {name: entry["value"] for name, entry in scored(y, outputs).metrics.items()}
    predicted = outputs.argmax(axis=1)
    auc = (
        sklearn_metrics.roc_auc_score(y, outputs[:, 1])
        if classes == 2
        else sklearn_metrics.roc_auc_score(y, outputs, multi_class="ovr")
    )
    wanted = {
        "accuracy": sklearn_metrics.accuracy_score(y, predicted),
        "macro_f1": sklearn_metrics.f1_score(y, predicted, average="macro"),
        "precision": sklearn_metrics.precision_score(y, predicted, average="macro"),
        "recall": sklearn_metrics.recall_score(y, predicted, average="macro"),
        "log_loss": sklearn_metrics.log_loss(y, outputs),
        "roc_auc": auc,
    }
    assert found == pytest.approx(wanted, rel=1e-5)


def test_every_interval_holds_its_value_and_is_about_as_wide_as_theory_says() -> None:
    y, outputs = answers(400, 3)
    result = scored(y, outputs)
    for entry in result.metrics.values():
        assert entry["low"] < entry["value"] < entry["high"]
        assert entry["n"] == 400
    accuracy = result.metrics["accuracy"]
    error = np.sqrt(accuracy["value"] * (1 - accuracy["value"]) / 400)
    assert accuracy["high"] - accuracy["low"] == pytest.approx(2 * 1.96 * error, rel=0.15)
    assert json.loads(json.dumps(result.to_json()))["confusion"]["classes"] == ["0", "1", "2"]


def test_resampling_cells_agrees_with_resampling_rows() -> None:
    y, outputs = answers(150, 3)
    predicted, random = outputs.argmax(axis=1), np.random.default_rng(5)
    values = []
    for _ in range(500):
        drawn = random.integers(0, 150, 150)
        values.append(sklearn_metrics.f1_score(y[drawn], predicted[drawn], average="macro"))
    entry = scored(y, outputs).metrics["macro_f1"]
    assert (entry["low"], entry["high"]) == pytest.approx(tuple(np.quantile(values, [0.025, 0.975])), abs=0.02)


def test_the_confusion_matrix_counts_actual_by_row() -> None:
    outputs = np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]])
    assert scored(np.array([0, 0, 1]), outputs).confusion == {"classes": ["0", "1"], "matrix": [[1, 1], [0, 1]]}


def test_a_faultless_model_still_has_an_interval() -> None:
    y = np.arange(40) % 2
    result = scored(y, np.eye(2)[y])
    assert result.metrics["accuracy"]["value"] == 1
    assert 0.9 < result.metrics["accuracy"]["low"] < 0.95  # 0.025 ** (1 / 40)
    assert "Clopper" in " ".join(result.notes)


def test_rows_of_one_class_leave_roc_auc_out_and_say_so() -> None:
    result = scored(np.zeros(30, dtype=int), answers(30, 3)[1])
    assert "roc_auc" not in result.metrics
    assert any("only one class" in note for note in result.notes)


def test_a_class_without_rows_is_left_out_of_roc_auc_and_said() -> None:
    y, outputs = answers(60, 4)
    result = scored(np.where(y == 3, 0, y), outputs)
    assert 0 <= result.metrics["roc_auc"]["value"] <= 1
    assert any("3 of 4 classes" in note for note in result.notes)


def test_one_row_is_scored() -> None:
    result = scored(np.array([1]), np.array([[0.3, 0.7]]))
    assert result.metrics["accuracy"] == {"value": 1, "low": 0.025, "high": 1, "n": 1}


def test_outputs_that_are_not_numbers_count_as_wrong() -> None:
    y = np.zeros(10, dtype=int)
    outputs = np.full((10, 2), [0.9, 0.1])
    outputs[:4] = np.nan
    result = scored(y, outputs)
    assert result.metrics["accuracy"]["value"] == 0.6
    assert any("4 of 10 rows" in note for note in result.notes)


def test_no_rows_and_wrong_shapes_are_refused() -> None:
    with pytest.raises(SchemaError, match="no rows"):
        scored(np.array([], dtype=int), np.zeros((0, 2)))
    with pytest.raises(SchemaError, match=r"\(3, K\)"):
        scored(np.zeros(3, dtype=int), np.zeros((4, 2)))
    with pytest.raises(SchemaError, match="3 classes"):
        score("classification", ["a", "b", "c"], np.zeros(4, dtype=int), np.zeros((4, 2)), **HOW)


def test_few_resamples_of_the_auc_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.scoring.ranking.MOST_WORK", 100)
    assert any("100 of the 500 resamples" in note for note in scored(*answers(200, 2)).notes)


def test_regression_is_in_the_targets_unit() -> None:
    random = np.random.default_rng(4)
    y = random.normal(size=300)
    outputs = (y + random.normal(scale=0.3, size=300))[:, None]
    found = score("regression", None, y, outputs, **HOW, target_scale=(50.0, 10.0)).metrics
    target, predicted = 50 + 10 * y, 50 + 10 * outputs[:, 0]
    assert found["rmse"]["value"] == pytest.approx(sklearn_metrics.root_mean_squared_error(target, predicted), rel=1e-5)
    assert found["mae"]["value"] == pytest.approx(sklearn_metrics.mean_absolute_error(target, predicted), rel=1e-5)
    assert found["r2"]["value"] == pytest.approx(sklearn_metrics.r2_score(target, predicted), rel=1e-5)
    assert all(entry["low"] < entry["value"] < entry["high"] for entry in found.values())


def test_equal_targets_leave_r2_out() -> None:
    found = score("regression", None, np.ones(20), np.zeros((20, 1)), **HOW).metrics
    assert set(found) == {"rmse", "mae"}
