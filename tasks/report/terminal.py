"""The end of a run on one screen of a terminal: plain text, coloured only where there is a terminal to colour it."""

import sys
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any, TextIO

from rich.console import Console
from rich.text import Text

from tasks.report.content import findings_told
from tasks.report.costs import saved
from tasks.report.formats import (
    DECISIONS,
    compared_sizes,
    continued,
    count,
    duration,
    metric_name,
    metric_range,
    metric_value,
    ratio,
    size,
)
from tasks.report.rows import row_sentence
from tasks.report.serving import curl, serve_command

WIDTH = 96
INDENT = 14
STYLES = {"promote": "bold green", "hold": "bold yellow", "reject": "bold red"}
LONGEST_REQUEST = 600  # characters of a request that still fit the screen


def print_summary(
    summary: Mapping[str, Any], extra: Mapping[str, Any] | None = None, stream: TextIO | None = None
) -> None:
    """Write the summary to `stream` (standard output), with the verdict in colour on a terminal."""
    console = Console(file=stream or sys.stdout, soft_wrap=True, highlight=False)
    text = Text(summary_text(summary, extra))
    decision = (summary.get("verdict") or {}).get("decision", "hold")
    text.highlight_regex(rf"(?m)^{DECISIONS[decision].upper()}\b", STYLES[decision])
    text.highlight_regex(r"(?m)^(Data|Quality|Beside|Size|Speed|Steps|Report)\b", "dim")
    text.highlight_regex(r"(?m)^(Serve|Ask)\b", "bold cyan")
    console.print(text)


def summary_text(summary: Mapping[str, Any], extra: Mapping[str, Any] | None = None) -> str:
    """The summary as lines of at most 96 columns; only a command that is to be pasted may be longer.

    `summary`: what `run --json` prints. `extra`: optional `serve` ({"model", "command", "item", "request_file"}) for the request.
    """
    lines = [f"{summary['pipeline']}, run {summary['run_id']}", ""]
    for build in (_data, quality, _compressors, _compression, _steps):
        lines += build(summary)
    lines += ["", *_verdict(summary), ""]
    lines += calling(summary, (extra or {}).get("serve"))
    lines.append(line("Report", summary.get("report") or f"millrace report {summary['run_id']}"))
    return "\n".join(lines).rstrip()


def line(label: str, text: str) -> str:
    """A label and what it labels."""
    return f"{label:<{INDENT}}{text}"


def _data(summary: Mapping[str, Any]) -> Iterator[str]:
    data = summary.get("data")
    if data:
        yield line("Data", row_sentence(data))
        for told in (*findings_told(data), *data.get("changes", ())):
            yield from wrapped("", f"- {told}", hanging=2)


def quality(summary: Mapping[str, Any]) -> Iterator[str]:
    """Each metric with its interval."""
    metrics = summary.get("metrics") or {}
    rows = f"({count(next(iter(metrics.values()))['n'])} test rows)" if metrics else ""
    width = max((len(metric_name(name)) + 1 for name in metrics), default=0)
    for place, (name, entry) in enumerate(metrics.items()):
        figures = f"{metric_value(name, entry['value']):>8}  {metric_range(name, entry):<15}"
        label = f"{metric_name(name):<{max(width, 10)}}"
        yield line("" if place else "Quality", f"{label}{figures} {'' if place else rows}".rstrip())


def _compressors(summary: Mapping[str, Any]) -> Iterator[str]:
    if found := summary.get("compressors"):
        yield from wrapped("Beside", compared_sizes(found))


def _compression(summary: Mapping[str, Any]) -> Iterator[str]:
    packed = summary.get("compression")
    if not packed:
        return
    before, after = size(packed["model_bytes_before"]), size(packed["model_bytes_after"])
    yield line(
        "Size", f"{before} → {after}  ({ratio(packed['size_ratio'])} smaller than fp32, recipe {packed['recipe']})"
    )
    speeds = f"batch 1: {ratio(packed.get('latency_ratio_b1'))}, batch 32: {ratio(packed.get('latency_ratio_b32'))}"
    yield line("Speed", f"{speeds}  (times fp32 in the same runtime)")


def _steps(summary: Mapping[str, Any]) -> Iterator[str]:
    steps = summary.get("steps") or []
    if not steps:
        return
    computed = [step for step in steps if step["state"] == "computed"]
    longest = sorted(computed, key=lambda step: -step["seconds"])[:3]
    named = ", ".join(f"{step['name']} {duration(step['seconds'])}" for step in longest)
    text = f"{len(computed)} computed, {len(steps) - len(computed)} cached" + (f"; longest: {named}" if named else "")
    yield from wrapped("Steps", text)
    if found := saved(steps):
        yield line("", found)


def _verdict(summary: Mapping[str, Any]) -> Iterator[str]:
    verdict, release = summary.get("verdict"), summary.get("release") or {}
    if not verdict:
        return
    title = DECISIONS[verdict["decision"]].upper()
    if release.get("version"):
        alias = f" serves as {release['alias']}" if release.get("alias") else ""
        after = f"{release['model']} version {release['version']}{alias}"
    else:
        after = "may be released" if verdict["decision"] == "promote" else "not released; what served before still does"
    yield line(title, after)
    for reason in verdict["reasons"]:
        yield from wrapped("", f"- {reason}", hanging=2)
    for entry in summary.get("continued", ()):
        yield from wrapped("", f"- {continued(entry)}", hanging=2)


def wrapped(label: str, text: str, hanging: int = 0) -> list[str]:
    """A label and what it labels, in lines of at most WIDTH columns."""
    tied = text.replace(" %", "\xa0%")  # a number and its per cent stay on one line
    pieces = [
        piece.replace("\xa0", " ") for piece in textwrap.wrap(tied, WIDTH - INDENT, subsequent_indent=" " * hanging)
    ]
    pieces = pieces or [""]
    return [line(label, pieces[0]), *(" " * INDENT + piece for piece in pieces[1:])]


def calling(summary: Mapping[str, Any], serve: Mapping[str, Any] | None) -> Iterator[str]:
    """How to serve and ask what was released."""
    release = summary.get("release") or {}
    if not release.get("version"):
        return
    serve = serve or {"model": release["model"]}
    yield line("Serve", serve_command(serve))
    yield line("Ask", curl(serve, LONGEST_REQUEST))
