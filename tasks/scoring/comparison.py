"""Two models on the same rows: how much better or worse the candidate is, and how surely. N rows, R resamples.

`difference` is in the unit of the margin and positive where the candidate is better: accuracy and macro F1 as shares, log-loss
in nats, RMSE as a share of the reference's, bits per byte in bits, perplexity as a share of the reference's.

What the rows do not show, the bootstrap does not know. So accuracy has an exact bound when few pairs are discordant
(`tasks.scoring.discordant`), and no lower bound is ever nearer to zero than what N rows can show at all: a loss of one unit on a share
of 1 − (1 − confidence)^(1/N) of the cases, of which they would contain none (`unseen_share`).
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from storage.errors import ConfigError
from tasks.scoring.answers import check_rows, log_losses, predicted_classes, residuals
from tasks.scoring.confusion import Cells
from tasks.scoring.discordant import FEW, exact_bounds, rows_for_pairs
from tasks.scoring.passages import bits
from tasks.scoring.statistics import bounds, resampled_means, rows_for_mean, unseen_share
from tasks.sections import EvaluateSection


@dataclass(frozen=True)
class Comparison:
    """`low`, `high`: one-sided bounds of `difference` at `confidence`. `rows_wanted`: how many would put `low` above −margin."""

    metric: str
    candidate: float
    reference: float
    difference: float
    low: float
    high: float
    confidence: float
    rows: int
    discordant: int  # rows that only one of the two gets right; for log-loss and RMSE: whose outputs differ
    method: str  # exact | bootstrap
    rows_wanted: int | None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def compare(section: EvaluateSection, y: np.ndarray, candidate: np.ndarray, reference: np.ndarray) -> Comparison:
    """Compare outputs (N, K), or (N, 1) for rmse, against targets `y` (N,), pair by pair; of texts see `tasks.scoring.passages`.

    Raises SchemaError where the rows do not match, ConfigError where the metric does not fit the outputs.
    """
    check_rows("candidate", y, candidate)
    check_rows("reference", y, reference)
    regression, text = section.metric == "rmse", section.metric in ("bits_per_byte", "perplexity")
    fits = text == (y.ndim == 2) and regression == (candidate.shape[1] == 1)
    if not fits or candidate.shape[1] != reference.shape[1]:
        raise ConfigError(
            f"evaluate.metric {section.metric!r}: outputs have {candidate.shape[1]} and {reference.shape[1]} columns; "
            "use rmse for regression, bits_per_byte or perplexity for texts, else accuracy, macro_f1 or log_loss, and models of the same classes"
        )
    return _METRICS[section.metric](section, y, candidate, reference)


def _accuracy(section: EvaluateSection, y: np.ndarray, candidate: np.ndarray, reference: np.ndarray) -> Comparison:
    right, reference_right = predicted_classes(y, candidate) == y, predicted_classes(y, reference) == y
    lost, won, rows = int((reference_right & ~right).sum()), int((right & ~reference_right).sum()), len(y)
    exact = lost + won < FEW
    if exact:
        low, high = exact_bounds(lost, won, rows, section.confidence)
    else:
        counts = np.random.default_rng(section.seed).multinomial(
            rows, [lost / rows, won / rows, 1 - (lost + won) / rows], size=section.resamples
        )
        low, high = bounds((counts[:, 1] - counts[:, 0]) / rows, section.confidence)
    wanted = rows_for_pairs(lost, won, rows, section.margin, section.confidence)
    return _comparison(
        section, float(right.mean()), float(reference_right.mean()), (won - lost) / rows, (low, high), rows, lost + won,
        "exact" if exact else "bootstrap", wanted,
    )  # fmt: skip


def _macro_f1(section: EvaluateSection, y: np.ndarray, candidate: np.ndarray, reference: np.ndarray) -> Comparison:
    # a class F1 is no mean over rows, so the cells of (actual, candidate's, reference's class) are resampled; where few pairs are
    # discordant, the more cautious of this and the accuracy's exact bound holds
    mine, other = predicted_classes(y, candidate), predicted_classes(y, reference)
    cells = Cells.of(candidate.shape[1], y, mine, other)
    values, others = (float(cells.observed(column).macro_f1()[0]) for column in (1, 2))
    resampled = np.concatenate(
        [
            cells.tally(counts, 1).macro_f1() - cells.tally(counts, 2).macro_f1()
            for counts in cells.resampled(section.resamples, section.seed)
        ]
    )
    low, high = bounds(resampled, section.confidence)
    lost, won = int(((other == y) & (mine != y)).sum()), int(((mine == y) & (other != y)).sum())
    if lost + won < FEW:
        low = min(low, exact_bounds(lost, won, len(y), section.confidence)[0])
    wanted = rows_for_mean(
        values - others, float(resampled.std()) * math.sqrt(len(y)), section.margin, section.confidence
    )
    return _comparison(
        section, values, others, values - others, (low, high), len(y), int((mine != other).sum()), "bootstrap", wanted
    )


def _log_loss(section: EvaluateSection, y: np.ndarray, candidate: np.ndarray, reference: np.ndarray) -> Comparison:
    mine, other = log_losses(y, candidate), log_losses(y, reference)
    gains = other - mine
    resampled = resampled_means(gains[:, None], section.resamples, section.seed)[:, 0]
    wanted = rows_for_mean(float(gains.mean()), float(gains.std()), section.margin, section.confidence)
    return _comparison(
        section, float(mine.mean()), float(other.mean()), float(gains.mean()), bounds(resampled, section.confidence), len(y),
        int((gains != 0).sum()), "bootstrap", wanted,
    )  # fmt: skip


def _rmse(section: EvaluateSection, y: np.ndarray, candidate: np.ndarray, reference: np.ndarray) -> Comparison:
    squares = np.stack([residuals(y, candidate) ** 2, residuals(y, reference) ** 2], axis=1)
    mine, other = np.sqrt(squares.mean(axis=0))
    roots = np.sqrt(resampled_means(squares, section.resamples, section.seed))
    resampled = 1 - roots[:, 0] / np.maximum(roots[:, 1], 1e-12)
    difference = float(1 - mine / max(other, 1e-12)) if mine != other else 0.0
    deviation = float(resampled.std()) * math.sqrt(len(y))
    wanted = rows_for_mean(difference, deviation, section.margin, section.confidence)
    return _comparison(
        section, float(mine), float(other), difference, bounds(resampled, section.confidence), len(y),
        int((squares[:, 0] != squares[:, 1]).sum()), "bootstrap", wanted,
    )  # fmt: skip


def _bits_per_byte(section: EvaluateSection, y: np.ndarray, candidate: np.ndarray, reference: np.ndarray) -> Comparison:
    spent = np.stack([bits(y, candidate), bits(y, reference), y[:, 0]], axis=1)
    mine, other = spent.mean(axis=0)[:2] / spent[:, 2].mean()
    means = resampled_means(spent, section.resamples, section.seed)
    resampled = (means[:, 1] - means[:, 0]) / means[:, 2]
    return _of_texts(section, float(mine), float(other), float(other - mine), resampled, spent)


def _perplexity(section: EvaluateSection, y: np.ndarray, candidate: np.ndarray, reference: np.ndarray) -> Comparison:
    # both per token of the candidate's: another tokenizer's tokens are other things, the bits of a passage are not
    spent = np.stack([bits(y, candidate), bits(y, reference), np.maximum(candidate[:, 1], 1)], axis=1)
    mine, other = np.exp2(np.minimum(spent.mean(axis=0)[:2] / spent[:, 2].mean(), 1000))
    means = resampled_means(spent, section.resamples, section.seed)
    resampled = 1 - np.exp2(np.clip((means[:, 0] - means[:, 1]) / means[:, 2], -1000, 1000))
    return _of_texts(section, float(mine), float(other), float(1 - mine / other), resampled, spent)


def _of_texts(
    section: EvaluateSection, mine: float, other: float, difference: float, resampled: np.ndarray, spent: np.ndarray
) -> Comparison:
    rows, deviation = len(spent), float(resampled.std()) * math.sqrt(len(spent))
    wanted = rows_for_mean(difference, deviation, section.margin, section.confidence)
    return _comparison(
        section, mine, other, difference, bounds(resampled, section.confidence), rows,
        int((spent[:, 0] != spent[:, 1]).sum()), "bootstrap", wanted,
    )  # fmt: skip


def _comparison(
    section: EvaluateSection, candidate: float, reference: float, difference: float, between: tuple[float, float],
    rows: int, discordant: int, method: str, wanted: int | None,
) -> Comparison:  # fmt: skip
    low = min(between[0], -unseen_share(rows, section.confidence)) if method == "bootstrap" else between[0]
    enough = low > -section.margin
    return Comparison(
        section.metric, candidate, reference, difference, low, between[1], section.confidence, rows, discordant, method,
        rows if enough else (None if wanted is None else max(wanted, rows + 1)),
    )  # fmt: skip


_METRICS: dict[str, Callable[[EvaluateSection, np.ndarray, np.ndarray, np.ndarray], Comparison]] = {
    "accuracy": _accuracy,
    "macro_f1": _macro_f1,
    "log_loss": _log_loss,
    "rmse": _rmse,
    "bits_per_byte": _bits_per_byte,
    "perplexity": _perplexity,
}
