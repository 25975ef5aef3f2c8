"""Sizes that suit so many rows of a kind: the split, the model, and by how much the gate may let a metric fall. Pure arithmetic."""

import math
from collections.abc import Sequence
from typing import Any

ACCEPTED = 0.005  # what nobody would miss, where the rows could tell
ACCEPTED_RELATIVE = 0.02  # of an rmse
GREATEST_MARGIN = 0.15
IMBALANCED = 0.8  # from this share of the most frequent class on, accuracy hardly sees the others


def shares(rows: int) -> tuple[float, float]:
    """(validation, test): the fewer rows, the more of them for the test, or it could decide nothing."""
    return 0.15, 0.4 if rows < 600 else 0.3 if rows < 3000 else 0.2


def accuracy_margin(test_rows: float) -> float:
    """By what two models that differ on one row in eleven can just be told apart: 1.645·√(0.09/n) = 0.5/√n, and half a point."""
    return _rounded(ACCEPTED + 0.5 / math.sqrt(max(1.0, test_rows)))


def macro_f1_margin(test_rows: Sequence[float]) -> float:
    """The same for a mean over classes of so many test rows each."""
    spread = math.sqrt(sum(1 / max(1.0, rows) for rows in test_rows)) / max(1, len(test_rows))
    return _rounded(ACCEPTED + 0.5 * spread)


def rmse_margin(test_rows: float) -> float:
    """Relative: two parts in a hundred, and the doubt that so many rows leave."""
    return _rounded(ACCEPTED_RELATIVE + 1 / math.sqrt(max(1.0, test_rows)))


def _rounded(margin: float) -> float:
    return min(GREATEST_MARGIN, math.ceil(margin * 1000 - 1e-9) / 1000)


def just_above(share: float) -> float:
    """The next whole per mille: what is strictly better than `share`."""
    return min(1.0, round((math.floor(share * 1000 + 1e-9) + 1) / 1000, 3))


def just_below(value: float) -> float:
    """Three digits of `value`, rounded down."""
    if value <= 0:
        return value
    unit = 10.0 ** (math.floor(math.log10(value)) - 2)
    return float(f"{math.floor(value / unit + 1e-9) * unit:.3g}")


def constant_macro_f1(share: float, classes: int) -> float:
    """Macro F1 of always answering a class that has `share` of the rows."""
    return 2 * share / (1 + share) / classes


def model(family: str, kind: str, rows: float, classes: int) -> dict[str, Any]:
    """The train section of a family for `rows` training rows; `classes`: 0 for numbers."""
    if family == "sklearn":
        return {"family": family, "sklearn": _trees(rows, classes)}
    if kind == "table":
        return {"family": family, "epochs": _epochs(rows, 200_000, 10, 60), "batch_size": 32 if rows < 2000 else 128,
                "learning_rate": 0.001, "early_stopping_epochs": 5}  # fmt: skip
    if kind == "text":
        return {"family": family, "epochs": _epochs(rows, 30_000, 3, 12), "batch_size": 32 if rows < 1000 else 64,
                "learning_rate": 0.002, "early_stopping_epochs": 2}  # fmt: skip
    return {
        "family": family,
        "epochs": _epochs(rows, 150_000, 4, 25),
        "batch_size": 64 if rows < 10_000 else 128,
        "learning_rate": 0.002 if kind == "audio" else 0.003,
        "early_stopping_epochs": 4,
    }


def _epochs(rows: float, seen: int, least: int, most: int) -> int:
    """As many as show about `seen` rows in all."""
    return max(least, min(most, round(seen / max(1.0, rows))))


def _trees(rows: float, classes: int) -> dict[str, Any]:
    """Fewer and smaller trees for few rows, more for numbers; each iteration grows a tree for every class of more than two."""
    iterations, leaves = (80, 8) if rows < 1000 else (150, 15) if rows < 8000 else (300, 31)
    if classes == 0:
        iterations *= 2
    if classes > 2:
        iterations = max(20, min(iterations, 3000 // classes))
    return {
        "estimator": "hist_gradient_boosting",
        "iterations": iterations,
        "learning_rate": 0.08,
        "max_leaves": leaves,
    }


def vocabulary(rows: float) -> int:
    """Words worth knowing from so many texts."""
    return 20_000 if rows >= 10_000 else 10_000


def max_tokens(tokens: int) -> int:
    """Nine texts in ten whole, with room for a tenth more, up to 400."""
    return max(16, min(400, math.ceil(tokens * 1.1 / 16) * 16))
