"""An artifact's own metrics, each with a bootstrap interval. N rows, K classes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from storage.errors import SchemaError
from tasks.scoring.answers import check_rows, log_losses, not_finite, predicted_classes, residuals
from tasks.scoring.confusion import Cells
from tasks.scoring.passages import text_metrics
from tasks.scoring.ranking import ranked_classes, resampled_auc, resamples_for, roc_auc
from tasks.scoring.statistics import interval, resampled_means, share_above, share_below

COUNTED = ("accuracy", "macro_f1", "precision", "recall")
FEW_ERRORS = 10  # with fewer errors (or hits) the accuracy's interval is exact: the bootstrap's would be too narrow


@dataclass(frozen=True)
class Scores:
    """`metrics`: name → value, low, high, n. `confusion`: rows by actual and predicted class. `notes`: what to know of them."""

    metrics: dict[str, dict[str, float]]
    confusion: dict[str, Any] | None = None
    notes: tuple[str, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"metrics": self.metrics, "confusion": self.confusion, "notes": list(self.notes)}


def score(
    task: str,
    classes: Sequence[str] | None,
    y: np.ndarray,
    outputs: np.ndarray,
    *,
    confidence: float,
    resamples: int,
    seed: int,
    target_scale: tuple[float, float] | None = None,
) -> Scores:
    """Score `outputs` against `y` (N,).

    Classification: outputs (N, K) are probabilities, `y` class indices. Regression: outputs (N, 1) and `y` are standardised and
    `target_scale` is (mean, deviation) of the target, whose unit RMSE and MAE have. Language model: see `tasks.scoring.passages`.
    Intervals are two-sided percentile bootstrap.
    """
    check_rows("score", y, outputs)
    if task == "language_model":
        values, resampled = text_metrics(y, outputs, resamples, seed)
        found = {name: _entry(values[name], interval(resampled[name], confidence), len(y)) for name in values}
        return Scores(found, notes=tuple(_broken_rows(outputs)))
    notes = _broken_rows(outputs)
    if task == "regression":
        metrics = _regression(y, outputs, confidence, resamples, seed, target_scale)
        return Scores(metrics, notes=tuple(notes))
    if not classes or outputs.shape[1] != len(classes):
        raise SchemaError(
            f"score: {len(classes or ())} classes but outputs of shape {outputs.shape}; export the model for these classes again"
        )
    cells = Cells.of(len(classes), y, predicted_classes(y, outputs))
    metrics = _counted(cells, confidence, resamples, seed, notes)
    metrics["log_loss"] = _mean(log_losses(y, outputs), confidence, resamples, seed)
    if (auc := _auc(y, outputs, confidence, resamples, seed, notes)) is not None:
        metrics["roc_auc"] = auc
    return Scores(metrics, {"classes": list(classes), "matrix": cells.matrix().tolist()}, tuple(notes))


def _broken_rows(outputs: np.ndarray) -> list[str]:
    broken = int(not_finite(outputs).sum())
    return (
        [f"outputs of {broken} of {len(outputs)} rows are not finite numbers; these rows count as wrong"]
        if broken
        else []
    )


def _counted(
    cells: Cells, confidence: float, resamples: int, seed: int, notes: list[str]
) -> dict[str, dict[str, float]]:
    observed, rows = cells.observed(), int(cells.counts.sum())
    tallies = [cells.tally(counts) for counts in cells.resampled(resamples, seed)]
    metrics = {}
    for name in COUNTED:
        values = np.concatenate([getattr(tally, name)() for tally in tallies])
        metrics[name] = _entry(float(getattr(observed, name)()[0]), interval(values, confidence), rows)
    right = int(observed.right.sum())
    if min(right, rows - right) < FEW_ERRORS:
        side = (1 + confidence) / 2
        metrics["accuracy"] = _entry(
            right / rows, (share_below(right, rows, side), share_above(right, rows, side)), rows
        )
        notes.append(
            f"with {rows - right} errors in {rows} rows the accuracy's interval is exact (Clopper–Pearson), not bootstrapped"
        )
    return metrics


def _mean(losses: np.ndarray, confidence: float, resamples: int, seed: int) -> dict[str, float]:
    means = resampled_means(losses[:, None], resamples, seed)[:, 0]
    return _entry(float(losses.mean()), interval(means, confidence), len(losses))


def _auc(
    y: np.ndarray, outputs: np.ndarray, confidence: float, resamples: int, seed: int, notes: list[str]
) -> dict[str, float] | None:
    ranked = ranked_classes(y, outputs.shape[1])
    if not ranked:
        notes.append("roc_auc is left out: the rows have only one class")
        return None
    if outputs.shape[1] > 2 and len(ranked) < outputs.shape[1]:
        notes.append(f"roc_auc is the mean over the {len(ranked)} of {outputs.shape[1]} classes that the rows have")
    finite = np.where(not_finite(outputs)[:, None], 0.0, outputs)
    used = resamples_for(len(y), len(ranked), resamples)
    if used < resamples:
        notes.append(f"roc_auc's interval comes from {used} of the {resamples} resamples, as there are {len(y)} rows")
    values = resampled_auc(y, finite, ranked, used, seed)
    return _entry(roc_auc(y, finite, ranked), interval(values, confidence), len(y))


def _regression(
    y: np.ndarray,
    outputs: np.ndarray,
    confidence: float,
    resamples: int,
    seed: int,
    target_scale: tuple[float, float] | None,
) -> dict[str, dict[str, float]]:
    unit = target_scale[1] if target_scale else 1.0
    errors, y = residuals(y, outputs) * unit, np.asarray(y, dtype=np.float64) * unit
    columns = np.stack([errors**2, np.abs(errors), y, y**2], axis=1)
    means = resampled_means(columns, resamples, seed)
    metrics = {}
    for name, value in _from_means(columns.mean(axis=0)[None, :]).items():
        if np.isfinite(value[0]):  # r2 has no value where all targets are equal
            metrics[name] = _entry(float(value[0]), interval(_from_means(means)[name], confidence), len(y))
    return metrics


def _from_means(means: np.ndarray) -> dict[str, np.ndarray]:
    """Columns of `means` (R, 4): squared error, absolute error, target, target squared."""
    squared, absolute, target, target_squared = means.T
    variance = target_squared - target**2
    r2 = 1 - np.divide(squared, variance, out=np.full(len(squared), np.nan), where=variance > 1e-12 * target_squared)
    return {"rmse": np.sqrt(squared), "r2": r2, "mae": absolute}


def _entry(value: float, between: tuple[float, float], rows: int) -> dict[str, float]:
    # six digits: more would only show in which order a processor adds
    low, high = between
    return {"value": float(f"{value:.6g}"), "low": float(f"{low:.6g}"), "high": float(f"{high:.6g}"), "n": rows}
