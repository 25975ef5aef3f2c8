"""Golden requests: a release's own items with the answers wanted. Parity, smoke test and hot swap all compare with them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from storage.errors import CorruptArtifact
from tasks.inference.predictor import Predictor


def check_golden(
    predictor: Predictor, golden: Mapping[str, Any], tolerance: float, rows: Sequence[int] | None = None
) -> float:
    """The greatest difference between outputs; CorruptArtifact where it exceeds `tolerance` or a prediction differs.

    `rows`: the golden items of the one forward, in which an item may come more than once; None: all of them, once.
    """
    rows = range(len(golden["items"])) if rows is None else rows
    items = [golden["items"][row] for row in rows]
    predictions, outputs_BK = predictor.predict(predictor.parse(items))
    wanted_BK = np.asarray(golden["outputs"], dtype=np.float32)[list(rows)]
    if outputs_BK.shape != wanted_BK.shape:
        raise CorruptArtifact(
            f"golden outputs: found shape {outputs_BK.shape}, wanted {wanted_BK.shape}; release it again"
        )
    difference_B = np.abs(outputs_BK - wanted_BK).max(axis=1)
    worst = int(difference_B.argmax())
    if not difference_B[worst] <= tolerance:
        raise CorruptArtifact(
            f"golden item {rows[worst]} in a batch of {len(rows)}: found outputs {_brief(outputs_BK[worst])}, "
            f"wanted {_brief(wanted_BK[worst])} within {tolerance:g}; this machine does not compute what was released"
        )
    check_predictions(predictions, [golden["predictions"][row] for row in rows], wanted_BK, tolerance)
    return float(difference_B[worst])


def check_predictions(
    predictions: Sequence[Any], wanted: Sequence[Any], outputs_BK: np.ndarray | Sequence[Any], tolerance: float
) -> None:
    """CorruptArtifact naming the first prediction that is not the one wanted. Classes closer than the tolerance may swap."""
    if len(predictions) != len(wanted):
        raise CorruptArtifact(f"golden predictions: found {len(predictions)}, wanted {len(wanted)}")
    for row, (found, expected) in enumerate(zip(predictions, wanted, strict=True)):
        if not _agree(found, expected, np.asarray(outputs_BK[row]), tolerance):
            raise CorruptArtifact(f"golden item {row}: found the prediction {found!r}, wanted {expected!r}")


def _agree(found: Any, expected: Any, outputs_K: np.ndarray, tolerance: float) -> bool:
    if isinstance(expected, str):
        first, second = np.sort(outputs_K)[::-1][:2] if len(outputs_K) > 1 else (1.0, 0.0)
        return found == expected or first - second <= 2 * tolerance
    return bool(abs(found - expected) <= tolerance * max(1.0, abs(expected)))


def _brief(outputs_K: np.ndarray) -> str:
    return "[" + ", ".join(f"{value:.6g}" for value in outputs_K[:6]) + (", …]" if len(outputs_K) > 6 else "]")
