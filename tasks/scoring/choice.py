"""Which candidate goes to the gate. A pure function of what the candidates did on validation rows.

A candidate is eligible if its metric is at most half the margin worse than the uncompressed model's: the other half is left for what
chance does on the test rows, where the gate asks for proof. Of the eligible the one with the fewest bytes is taken, then with the fewest
operations, then the first by name. Latency chooses nothing (it differs between machines and runs, quality and bytes do not); it only vetoes
what is surely, by its interval, slower than allowed at every batch size measured. The uncompressed model is the last resort.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tasks.scoring.answers import not_finite
from tasks.scoring.comparison import Comparison, compare
from tasks.scoring.decisions import Choice
from tasks.scoring.wording import difference, figure, metric_name
from tasks.sections import EvaluateSection


@dataclass(frozen=True)
class Candidate:
    """`outputs`: (N, K) on the validation rows. `speed`: batch size → (ratio, low, high), times as fast as fp32 in the same runtime."""

    name: str
    outputs: np.ndarray
    model_bytes: int
    operations: int
    speed: Mapping[int, tuple[float, float, float]] = field(default_factory=dict)


def choose(
    section: EvaluateSection,
    y: np.ndarray,
    candidates: Sequence[Candidate],
    baseline: Candidate,
    target_scale: tuple[float, float] | None = None,
) -> Choice:
    """Choose among `candidates` and the uncompressed `baseline` on validation rows with targets `y` (N,).

    `target_scale`: (mean, deviation) of a regression's target, for figures in its unit.
    """
    everyone = (*candidates, baseline)
    comparisons = {item.name: compare(section, y, item.outputs, baseline.outputs) for item in candidates}
    objections = {item.name: _objection(section, item, comparisons[item.name]) for item in candidates}
    eligible = [item for item in everyone if not objections.get(item.name)]
    chosen = min(eligible, key=lambda item: (item.model_bytes, item.operations, item is baseline, item.name))
    figures = _figures(section, comparisons, baseline, target_scale)
    why = {item.name: figures[item.name] + (objections.get(item.name) or _place(item, chosen)) for item in everyone}
    return Choice(chosen.name, why)


def _objection(section: EvaluateSection, candidate: Candidate, comparison: Comparison) -> str:
    """Why the candidate may not be taken; empty if it may."""
    if not_finite(candidate.outputs).any():
        return "its outputs are not always finite numbers"
    if comparison.difference < -section.margin / 2:
        worse = difference(section.metric, -comparison.difference)
        half = difference(section.metric, section.margin / 2)
        return f"{worse} worse than uncompressed, more than half the margin ({half})"
    slow = {batch: high for batch, (_, _, high) in candidate.speed.items() if high * section.max_slowdown < 1}
    if candidate.speed and len(slow) == len(candidate.speed):
        figures = " and ".join(f"{1 / high:.2f}× at batch {batch}" for batch, high in sorted(slow.items()))
        return f"surely slower than uncompressed: at least {figures} the time (allowed: {section.max_slowdown:g}×)"
    return ""


def _figures(
    section: EvaluateSection,
    comparisons: Mapping[str, Comparison],
    baseline: Candidate,
    target_scale: tuple[float, float] | None,
) -> dict[str, str]:
    """By candidate its metric on validation, to begin the reason with."""
    unit = target_scale[1] if target_scale and section.metric == "rmse" else 1.0
    values = {name: comparison.candidate for name, comparison in comparisons.items()}
    for comparison in comparisons.values():
        values[baseline.name] = comparison.reference
    name = metric_name(section.metric)
    texts = {item: f"{name} {figure(section.metric, unit * value)} on validation: " for item, value in values.items()}
    return {baseline.name: "", **texts}


def _place(candidate: Candidate, chosen: Candidate) -> str:
    if candidate is chosen:
        return "good enough, and the smallest that is"
    larger = candidate.model_bytes / max(1, chosen.model_bytes)
    if candidate.model_bytes > chosen.model_bytes:
        return f"good enough, but {larger:.1f}× the size of {chosen.name}"
    return f"good enough and as small as {chosen.name}, but with more operations or a later name"
