"""Figures and comparisons in plain words, for reasons that a person reads."""

import math

from tasks.scoring.comparison import Comparison

SHARES = ("accuracy", "macro_f1", "precision", "recall", "roc_auc")
LESS_IS_BETTER = ("log_loss", "rmse", "bits_per_byte", "perplexity")
NAMES = {
    "bits_per_byte": "bits per byte",
    "macro_f1": "macro F1",
    "log_loss": "log-loss",
    "rmse": "RMSE",
    "r2": "R²",
    "mae": "MAE",
    "roc_auc": "ROC-AUC",
}


UNITS = {"log_loss": "nats", "bits_per_byte": "bits per byte"}


def metric_name(metric: str) -> str:
    """The metric as people write it."""
    return NAMES.get(metric, metric)


def figure(metric: str, value: float) -> str:
    """A metric's value: accuracy and macro F1 in per cent, others in three or four digits."""
    if metric in ("accuracy", "macro_f1"):
        return f"{_short(100 * value, 1)} %"
    return f"{value:.3f}" if metric in ("log_loss", "bits_per_byte") else f"{value:.4g}"


def difference(metric: str, amount: float) -> str:
    """An absolute difference in the unit of the margin: points, nats, bits per byte or per cent."""
    if metric in ("accuracy", "macro_f1"):
        text = _short(100 * amount, 1)
        return f"{text} point" if text == "1" else f"{text} points"
    if metric in UNITS:
        return f"{_short(amount, 4)} {UNITS[metric]}"
    return f"{_short(100 * amount, 1)} %"


def compared(comparison: Comparison, reference: str, margin: float, unit: float = 1.0) -> str:
    """One reason: both values, the bound that decides, the margin, and what would do if it is too wide.

    `reference`: how to call the other model, "the champion's". `unit`: what RMSE is multiplied by to be in the target's unit.
    """
    metric = comparison.metric
    scale = unit if metric == "rmse" else 1.0
    values = [figure(metric, scale * value) for value in (comparison.candidate, comparison.reference)]
    start = f"{metric_name(metric)} {values[0]} against {reference} {values[1]}"
    sure = f"({_short(100 * comparison.confidence, 1)} %)"
    allowed = f"the margin of {difference(metric, margin)}"
    if comparison.low > -margin:
        return f"{start}: {_at_worst(comparison)} {sure}, within {allowed}"
    if comparison.high < -margin:
        least = difference(metric, _cautious(-comparison.high, down=True))
        return f"{start}: at least {least} {_worse(metric)} {sure}, more than {allowed}"
    most = difference(metric, _cautious(-comparison.low))
    return (
        f"{start}: could be up to {most} {_worse(metric)} {sure}, not surely within {allowed}; {_more_rows(comparison)}"
    )


def _at_worst(comparison: Comparison) -> str:
    amount = difference(comparison.metric, _cautious(abs(comparison.low), down=comparison.low > 0))
    way = _better(comparison.metric) if comparison.low > 0 else _worse(comparison.metric)
    return f"at worst {amount} {way}"


def _more_rows(comparison: Comparison) -> str:
    seen = "no row was answered differently" if comparison.discordant == 0 else ""
    if comparison.rows_wanted is None:
        return f"with a difference like this no number of examples would do; now {comparison.rows:,}"
    more = comparison.rows_wanted - comparison.rows
    wanted = f"{more:,} more test example{'s' if more != 1 else ''} would do ({comparison.rows:,} now)"
    return f"{seen}, but {wanted}" if seen else f"if the difference stays, {wanted}"


def _worse(metric: str) -> str:
    return "higher" if metric in LESS_IS_BETTER else "lower"


def _better(metric: str) -> str:
    return "lower" if metric in LESS_IS_BETTER else "higher"


def _cautious(amount: float, down: bool = False) -> float:
    """Rounded to what is shown, never to the candidate's advantage."""
    steps = amount * 1000
    return (math.floor(steps + 1e-9) if down else math.ceil(steps - 1e-9)) / 1000


def _short(value: float, digits: int) -> str:
    return f"{value:,.{digits}f}".rstrip("0").rstrip(".") if digits else f"{value:,.0f}"
