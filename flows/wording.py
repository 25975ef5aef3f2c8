"""Plans and runs as text for people."""

import textwrap
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flows.journal import CACHED
from flows.planning import DEPENDS, HIT, MISS, Plan, Planned
from tasks.report.costs import HEADINGS, cost_cells, saved, total_cells
from tasks.report.formats import duration

WIDTH = 96
STATE, NAME, COST = 9, 28, 9
UNMEASURED = "–"


def plan_text(plan: Plan) -> str:
    """One line for each step, its reasons below it, and what it comes to."""
    counts = Counter(step.state for step in plan.steps)
    names = ", ".join(f"{counts[state]} {state}" for state in (HIT, MISS, DEPENDS) if counts[state])
    lines = [f"{plan.config.name}: {names} in {_place(plan.storage)}", ""]
    for step in plan.steps:
        lines += _planned(step)
    return "\n".join([*lines, "", _outlook(plan, counts)]) + "\n"


def _place(storage: str) -> str:
    """A store's URL; a folder below the current one by its name from here."""
    return storage.removeprefix(f"{Path.cwd()}/")


def _planned(step: Planned) -> Iterator[str]:
    head = f"{step.state:<{STATE}}{step.name:<{NAME}}"
    known = "" if step.seconds is None else duration(step.seconds)
    if step.state == HIT and step.record:
        yield f"{head} {known:>9} saved, made by {step.record.run_id}{_shards(step)}"
        return
    told = f"{known:>9} last time" if known else f"{UNMEASURED:>9}          "
    after = f"after {step.on[-1]}" + (f" and {len(step.on) - 1} more" if len(step.on) > 1 else "") if step.on else ""
    yield f"{head} {told}  {after}{_shards(step)}".rstrip()
    for reason in step.why:
        yield from _reason(reason)


def _shards(step: Planned) -> str:
    """`; 999 of 1,000 shards known`, for a data step of several."""
    if not step.shards or sum(step.shards.values()) < 2:
        return ""
    unsure = f", {step.shards['undecided']:,} not to be told yet" if step.shards["undecided"] else ""
    return f"; {step.shards['known']:,} of {sum(step.shards.values()):,} shards known{unsure}"


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
    lines.append(f"{'':<{NAME}} {'':<{STATE}}{_columns(HEADINGS)}")
    for step in run["steps"]:
        lines.append(f"{step['name']:<{NAME}} {step['state']:<{STATE}}{_columns(cost_cells(step).values())}")
    lines.append(f"{'together':<{NAME}} {'':<{STATE}}{_columns(total_cells(run['steps']).values())}")
    if found := saved(run["steps"]):
        lines += ["", found]
    return "\n".join(lines) + "\n"


def _columns(cells: Iterable[str]) -> str:
    return "".join(f"{cell:>{COST}}" for cell in cells)


def why_text(run: Mapping[str, Any], steps: Sequence[Mapping[str, Any]]) -> str:
    """For each step: why it ran, or which run made what was found."""
    lines = [_run_line(run), ""]
    for step in steps:
        lines.append(f"{step['state']:<{STATE}} {step['name']}")
        reasons = [f"found: made by {step['made_by']}"] if step["state"] == CACHED else step["why"]
        for reason in reasons:
            lines += _reason(reason)
    return "\n".join(lines) + "\n"
