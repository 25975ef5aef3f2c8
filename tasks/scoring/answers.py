"""What a model answered, row by row. N rows, K classes.

Outputs that are not finite are an answer too, a wrong one: the row counts as misclassified with probability zero for its
class, or as off by `FAR`; so a broken candidate is refused by its figures.
"""

import numpy as np

from storage.errors import SchemaError

SMALLEST = 1e-7  # probabilities are clipped here in the log-loss, as float32 cannot tell them from 0 near 1
FAR = 1e30


def not_finite(outputs: np.ndarray) -> np.ndarray:
    """(N,) whether any output of the row is not a finite number."""
    return np.logical_not(np.isfinite(outputs).all(axis=1))


def predicted_classes(y: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """(N,) class indices from probabilities (N, K); a row that is not finite gets a class that is wrong."""
    return np.where(not_finite(outputs), (y + 1) % outputs.shape[1], np.nan_to_num(outputs).argmax(axis=1))


def log_losses(y: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """(N,) negative log-likelihoods in nats, at most 16.1."""
    chosen = outputs[np.arange(len(y)), y].astype(np.float64)
    chosen[not_finite(outputs)] = 0.0
    return -np.log(np.clip(chosen, SMALLEST, 1.0))


def residuals(y: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """(N,) prediction minus target, in the unit of both."""
    values = np.asarray(outputs[:, 0], dtype=np.float64)
    return np.nan_to_num(values - y, nan=FAR, posinf=FAR, neginf=-FAR)


def check_rows(name: str, y: np.ndarray, outputs: np.ndarray) -> None:
    """SchemaError unless `outputs` is (N, K) with N the length of `y`, at least one row."""
    if len(y) == 0:
        raise SchemaError(
            f"{name}: there are no rows to score; give the split more rows (data.test_share, data.validation_share)"
        )
    if outputs.ndim != 2 or len(outputs) != len(y):
        raise SchemaError(
            f"{name}: expected outputs of shape ({len(y)}, K), found {outputs.shape}; score it on these rows again"
        )
