"""Numbers as people read them: the page and the terminal write them the same way."""

from collections.abc import Mapping
from typing import Any

PERCENTAGES = ("accuracy", "macro_f1", "precision", "recall")
METRIC_NAMES = {
    "accuracy": "Accuracy",
    "macro_f1": "Macro F1",
    "precision": "Precision",
    "recall": "Recall",
    "log_loss": "Log-loss",
    "roc_auc": "ROC-AUC",
    "rmse": "RMSE",
    "r2": "R²",
    "mae": "MAE",
    "bits_per_byte": "Bits per byte",
    "perplexity": "Perplexity",
    "word_perplexity": "Perplexity of words",
}
DECISIONS = {"promote": "Promoted", "hold": "Held", "reject": "Rejected"}


def metric_name(name: str) -> str:
    """The metric as people write it."""
    return METRIC_NAMES.get(name, name)


def metric_value(name: str, value: float) -> str:
    """Shares in per cent, the rest in four digits."""
    if name in PERCENTAGES:
        return f"{100 * value:.1f} %"
    return f"{value:.3f}" if name in ("roc_auc", "r2", "log_loss", "bits_per_byte") else f"{value:.4g}"


def metric_range(name: str, entry: Mapping[str, Any]) -> str:
    """The interval: `97.6–99.3 %`."""
    low, high = metric_value(name, entry["low"]), metric_value(name, entry["high"])
    return f"{low.removesuffix(' %')}–{high}"


def size(count: float) -> str:
    """Bytes in decimal units: `412 kB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            break
        count /= 1000
    return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"


def duration(seconds: float) -> str:
    """`40 ms`, `3.2 s`, `4 min 10 s`."""
    if seconds < 0.0995:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 99.5:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def ratio(value: float | None) -> str:
    """`4.3×`; a dash where nothing was measured."""
    if value is None:
        return "–"
    return f"{value:.1f}×" if value >= 1.95 else f"{value:.2f}×"


def count(value: float) -> str:
    """With thousands separated."""
    return f"{value:,.0f}"


def compared_sizes(compressors: Mapping[str, float]) -> str:
    """What general compressors need for the same texts."""
    figures = ", ".join(f"{name} {value:.3f}" for name, value in compressors.items())
    return f"{figures} bits per byte, for the test text as one stream"


def continued(entry: Mapping[str, Any]) -> str:
    """When a training went on under other conditions, and what had changed."""
    changes = ", ".join(f"{name} was {was}, is {now}" for name, (was, now) in entry["changed"].items())
    return f"the model is marked: from epoch {entry['epoch']}, step {entry['step']} on it was trained under other conditions: {changes}"
