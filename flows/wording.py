"""Plans and runs as text for people."""

import textwrap
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from flows.journal import CACHED
from flows.planning import DEPENDS, HIT, MISS, Plan, Planned
from tasks.report.formats import duration

WIDTH = 96
STATE, NAME = 9, 28
UNMEASURED = "–"


def plan_text(plan: Plan) -> str:
    """One line for each step, its reasons below it, and what it comes to."""
    counts = Counter(step.state for step in plan.steps)
    names = ", ".join(f"{counts[state]} {state}" for state in (HIT, MISS, DEPENDS) if counts[state])
    lines = [f"{plan.config.name}: {names} in {plan.storage}", ""]
    for step in plan.steps:
        lines += _planned(step)
    return "\n".join([*lines, "", _outlook(plan, counts)]) + "\n"


def _planned(step: Planned) -> Iterator[str]:
    head = f"{step.state:<{STATE}}{step.name:<{NAME}}"
    known = "" if step.seconds is None else duration(step.seconds)
    if step.state == HIT and step.record:
        yield f"{head} {known:>9} saved, made by {step.record.run_id}"
        return
    told = f"{known:>9} last time" if known else f"{UNMEASURED:>9}          "
    after = f"after {step.on[-1]}" + (f" and {len(step.on) - 1} more" if len(step.on) > 1 else "") if step.on else ""
    yield f"{head} {told}  {after}".rstrip()
    for reason in step.why:
        yield from _reason(reason)


def _outlook(plan: Plan, counts: Mapping[str, int]) -> str:
    if plan.is_hit:
        return "A run would find everything."
    least = counts[MISS]
    text = f"A run would compute {least} step{'s' if least > 1 else ''}"
    text += f", and up to {counts[DEPENDS]} after" if counts[DEPENDS] else ""
    return text + (f"; last time they took {duration(plan.seconds)}." if plan.seconds is not None else ".")


def _reason(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=" " * STATE + "- ", subsequent_indent=" " * (STATE + 2))


def runs_text(runs: Sequence[Mapping[str, Any]]) -> str:
    """One line for each run."""
    if not runs:
        return "no run yet; make one with: millrace run digits\n"
    return "".join(f"{_run_line(run)}\n" for run in runs)


def _run_line(run: Mapping[str, Any]) -> str:
    states = Counter(step["state"] for step in run["steps"])
    counted = ", ".join(f"{count} {state}" for state, count in sorted(states.items())) or "no step yet"
    started = datetime.fromtimestamp(run["started"], UTC).strftime("%Y-%m-%d %H:%M")
    took = duration((run["finished"] or time.time()) - run["started"])
    return f"{run['run_id']}  {started}  {run['pipeline']:<20} {_outcome(run):<9} {took:>9}  {counted}"


def _outcome(run: Mapping[str, Any]) -> str:
    verdict = (run.get("summary") or {}).get("verdict") or {}
    return verdict.get("decision") or run["status"]


def show_text(run: Mapping[str, Any]) -> str:
    """What a run did, step by step, with what it cost."""
    lines = [_run_line(run), *([f"  {run['error']}"] if run["error"] else []), ""]
    lines.append(f"{'':<{NAME}} {'':<9}{'wall':>9}{'CPU':>9}{'memory':>9}{'in':>9}{'out':>9}{'GPU':>9}")
    for step in run["steps"]:
        lines.append(f"{step['name']:<{NAME}} {step['state']:<9}{_cost(step['cost'])}")
    saved = [step["cost"].get("wall_seconds") for step in run["steps"] if step["state"] == CACHED]
    known = [seconds for seconds in saved if seconds is not None]
    if known:
        lines += ["", f"{len(saved)} hits saved {duration(sum(known))} of computing"]
    return "\n".join(lines) + "\n"


def _cost(cost: Mapping[str, float | None]) -> str:
    seconds = [_shown(cost.get(name), duration) for name in ("wall_seconds", "cpu_seconds")]
    sizes = [_shown(cost.get(name), _size) for name in ("peak_memory_bytes", "bytes_in", "bytes_out")]
    return "".join(f"{text:>9}" for text in (*seconds, *sizes, _shown(cost.get("gpu_seconds"), duration)))


def _shown(value: float | None, form: Any) -> str:
    return UNMEASURED if value is None else form(value)


def _size(value: float) -> str:
    from tasks.report.formats import size

    return size(int(value))


def why_text(run: Mapping[str, Any], steps: Sequence[Mapping[str, Any]]) -> str:
    """For each step: why it ran, or which run made what was found."""
    lines = [_run_line(run), ""]
    for step in steps:
        lines.append(f"{step['state']:<{STATE}} {step['name']}")
        reasons = [f"found: made by {step['made_by']}"] if step["state"] == CACHED else step["why"]
        for reason in reasons:
            lines += _reason(reason)
    return "\n".join(lines) + "\n"
