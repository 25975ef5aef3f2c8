"""What steps cost, and what hits saved, as the page, the Markdown and the terminal show it; what was not measured is a dash."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tasks.report.formats import duration, size

UNKNOWN = "–"
COLUMNS = {  # heading → the figure of the cost, how it is written, how those of several steps become one
    "CPU": ("cpu_seconds", duration, sum),
    "Memory": ("peak_memory_bytes", size, max),
    "Read": ("bytes_in", size, sum),
    "Written": ("bytes_out", size, sum),
    "GPU": ("gpu_seconds", duration, sum),
}
HEADINGS = ("Time", *COLUMNS, "Saved")


def cost_cells(step: Mapping[str, Any]) -> dict[str, str]:
    """By heading: this run's time for the step, what computing it took where this run did, and what its hit saved."""
    cost, computed = step.get("cost") or {}, step.get("state") == "computed"
    cells = {"Time": _shown(step.get("seconds"), duration)}
    for heading, (name, written, _) in COLUMNS.items():
        cells[heading] = _shown(cost.get(name) if computed else None, written)
    cells["Saved"] = _shown(_saved_seconds(step), duration)
    return cells


def total_cells(steps: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The same for all steps together: sums, and the highest memory; of what was measured."""
    steps = list(steps)
    costs = [step.get("cost") or {} for step in steps if step.get("state") == "computed"]
    cells = {"Time": _shown(_together([step.get("seconds") for step in steps], sum), duration)}
    for heading, (name, written, joined) in COLUMNS.items():
        cells[heading] = _shown(_together([cost.get(name) for cost in costs], joined), written)
    cells["Saved"] = _shown(_together(map(_saved_seconds, steps), sum), duration)
    return cells


def saved(steps: Iterable[Mapping[str, Any]]) -> str:
    """`saved 3 min 12 s of computing by 11 hits`; empty where nothing was found, or no run noted what it had cost."""
    hits = [seconds for step in steps if (seconds := _saved_seconds(step)) is not None]
    number = f"{len(hits)} hit{'s' if len(hits) > 1 else ''}"
    return f"saved {duration(sum(hits))} of computing by {number}" if hits else ""


def _saved_seconds(step: Mapping[str, Any]) -> float | None:
    return (step.get("cost") or {}).get("wall_seconds") if step.get("state") == "cached" else None


def _together(values: Iterable[float | None], joined: Callable[[list[float]], float]) -> float | None:
    known = [value for value in values if value is not None]
    return joined(known) if known else None


def _shown(value: float | None, written: Callable[[float], str]) -> str:
    return UNKNOWN if value is None else written(value)
