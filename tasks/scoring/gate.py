"""The gate: whether a candidate may be released. A pure function of what the models answered on the same test rows.

Non-inferiority, with one margin against each reference (the uncompressed fp32 model; the champion, if there is one):

- lower bound of (candidate − reference) above −margin: passes;
- upper bound below −margin, so surely worse than allowed: `reject`;
- otherwise the rows cannot tell: `hold`, saying how many more would do.

One `reject` rejects, else one `hold` holds, else `promote`. Both references must be passed, so no correction for two tests is
needed (intersection–union test, Berger 1982). The `minimum` is compared with the measured value: below it is `reject`; a value above
it passes even where its interval reaches below, which the reason then says, as the margin, not the minimum, guards against noise.
"""

from collections.abc import Mapping

import numpy as np

from tasks.scoring.answers import not_finite
from tasks.scoring.comparison import Comparison, compare
from tasks.scoring.decisions import Decision, Verdict
from tasks.scoring.wording import LESS_IS_BETTER, compared, figure, metric_name
from tasks.sections import EvaluateSection

TEACHER, CHAMPION = "the uncompressed model's", "the champion's"


def decide(
    section: EvaluateSection,
    y: np.ndarray,
    candidate: np.ndarray,
    teacher: np.ndarray | None,
    champion: np.ndarray | None = None,
    *,
    scored: Mapping[str, float],
    target_scale: tuple[float, float] | None = None,
    rolled_back: bool = False,
    not_comparable: str = "",
) -> Verdict:
    """Judge the outputs (N, K) of `candidate` on test rows with targets `y` (N,).

    `teacher`: None where the candidate was not compressed here, and so has none to be held against.
    `scored`: the candidate's own entry for the section's metric (value, low, high), as `score` gave it. `target_scale`: (mean,
    deviation) of a regression's target. `rolled_back`: it once served and was taken
    back. `not_comparable`: why the champion cannot be scored on these rows. Raises SchemaError where rows do not match.
    """
    comparisons = {} if teacher is None else {"teacher": compare(section, y, candidate, teacher)}
    if champion is not None:
        comparisons["champion"] = compare(section, y, candidate, champion)
    findings = [
        *_broken(candidate),
        *_above_minimum(section, scored),
        *(_finding(item, name, section.margin, target_scale) for name, item in comparisons.items()),
        *_standing(champion is not None, rolled_back, not_comparable),
    ]
    decision = _worst([found for found, _ in findings])
    findings.sort(key=lambda found: found[0] != decision)  # what decided comes first
    bounds = {name: item.to_json() for name, item in comparisons.items()}
    return Verdict(decision, tuple(reason for _, reason in findings), bounds)


def _finding(
    comparison: Comparison, name: str, margin: float, target_scale: tuple[float, float] | None
) -> tuple[Decision, str]:
    called = CHAMPION if name == "champion" else TEACHER
    reason = compared(comparison, called, margin, target_scale[1] if target_scale else 1.0)
    if comparison.low > -margin:
        return "promote", reason
    return ("reject" if comparison.high < -margin else "hold"), reason


def _broken(candidate: np.ndarray) -> list[tuple[Decision, str]]:
    rows = int(not_finite(candidate).sum())
    return [("reject", f"its outputs on {rows:,} of {len(candidate):,} rows are not finite numbers")] if rows else []


def _above_minimum(section: EvaluateSection, scored: Mapping[str, float]) -> list[tuple[Decision, str]]:
    if section.minimum is None:
        return []
    less_is_better = section.metric in LESS_IS_BETTER
    value, far = scored["value"], scored["high" if less_is_better else "low"]
    name, limit = metric_name(section.metric), figure(section.metric, section.minimum)
    below, passes = (
        ("above the most allowed,", "within the most allowed,")
        if less_is_better
        else ("below the minimum of", "at least the minimum of")
    )
    sign = -1 if less_is_better else 1
    if sign * value < sign * section.minimum:
        return [("reject", f"{name} {figure(section.metric, value)} is {below} {limit}")]
    doubt = (
        f", though its interval reaches {figure(section.metric, far)}" if sign * far < sign * section.minimum else ""
    )
    return [("promote", f"{name} {figure(section.metric, value)} is {passes} {limit}{doubt}")]


def _standing(compared_with_champion: bool, rolled_back: bool, not_comparable: str) -> list[tuple[Decision, str]]:
    findings: list[tuple[Decision, str]] = []
    if rolled_back:
        findings.append(
            ("hold", "this very model was rolled back before; promote it by hand (millrace promote) if that is meant")
        )
    if not_comparable:
        findings.append(("hold", f"it cannot be compared with the champion: {not_comparable}"))
    elif not compared_with_champion and not rolled_back:
        findings.append(("promote", "there is no champion yet to compare with"))
    return findings


def _worst(decisions: list[Decision]) -> Decision:
    order: tuple[Decision, ...] = ("reject", "hold", "promote")
    return next(decision for decision in order if decision in decisions)
