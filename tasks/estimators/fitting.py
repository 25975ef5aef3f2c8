"""Fitting an estimator: ensembles a few iterations at a time, so that one hears how far it is; the rest at once."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from sklearn.metrics import log_loss, mean_squared_error

from tasks.estimators.families import ENSEMBLES, make_estimator, outputs
from tasks.sections import TrainSection
from tasks.splits import Split

PARTS = 10


def fit(
    section: TrainSection, task: str, train: Split, validation: Split, tell: Callable[..., None]
) -> tuple[Any, list[dict[str, Any]]]:
    """The fitted estimator and its history: an entry for each part of an ensemble, one for anything else.

    A warm start gives an ensemble the same trees as a single fit.
    """
    options, history = section.sklearn, []
    estimator = make_estimator(options, task, section.seed, section.threads)
    x_NF, y_N = _rows(train), np.asarray(train.y)
    parameter = ENSEMBLES.get(options.estimator)
    began = time.monotonic()
    for part, iterations in enumerate(_stages(options.iterations) if parameter else [options.iterations], 1):
        if parameter:
            estimator.set_params(**{parameter: iterations, "warm_start": True})
        estimator.fit(x_NF, y_N)
        entry = _entry(estimator, task, x_NF, y_N, validation)
        history.append({"epoch": iterations if parameter else 1, **entry, "learning_rate": options.learning_rate})
        rate = round(part * len(train) / max(time.monotonic() - began, 1e-9), 1)
        where = {"epoch": history[-1]["epoch"], "epochs": options.iterations if parameter else 1, "step": 1, "steps": 1}
        tell("progress", **where, **entry, rows_per_second=rate)
    return estimator, history


def _stages(iterations: int) -> Iterator[int]:
    for part in range(1, PARTS + 1):
        if iterations * part // PARTS > iterations * (part - 1) // PARTS:
            yield iterations * part // PARTS


def _entry(estimator: Any, task: str, x_NF: np.ndarray, y_N: np.ndarray, validation: Split) -> dict[str, float | None]:
    train_loss, _ = _measure(estimator, task, x_NF, y_N)
    loss, metric = _measure(estimator, task, _rows(validation), validation.y) if len(validation) else (None, None)
    return {"train_loss": train_loss, "validation_loss": loss, "validation_metric": metric}


def _measure(estimator: Any, task: str, x_NF: np.ndarray, y_N: np.ndarray) -> tuple[float, float]:
    """Log-loss and accuracy, or mean squared error and its root, in standard deviations of the target."""
    predicted_NK = outputs(estimator, x_NF)
    if task == "classification":
        loss = log_loss(y_N, predicted_NK, labels=np.arange(predicted_NK.shape[1]))
        return float(loss), float((predicted_NK.argmax(1) == y_N).mean())
    loss = float(mean_squared_error(y_N, predicted_NK[:, 0]))
    return loss, loss**0.5


def _rows(split: Split) -> np.ndarray:
    return np.asarray(split.x).reshape(len(split), -1)
