"""The report as Markdown, for pages that show it but cannot open a file: the same content, plots as images in the text."""

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks.report.content import (
    filter_rules,
    findings_told,
    gate_metric,
    most_confused,
    quarantine_rules,
    split_shares,
    tiles,
    yaml_text,
)
from tasks.report.costs import HEADINGS, cost_cells, saved
from tasks.report.formats import DECISIONS, count, metric_name, metric_range, metric_value, ratio, size
from tasks.report.rows import row_sentence
from tasks.report.serving import curl, serve_command

COLOURS = re.compile(r"(--[a-z]+): light-dark\((#[0-9a-f]{6}),")
NAMESPACES = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'


def to_markdown(view: Mapping[str, Any], figures: Mapping[str, str]) -> str:
    """The whole report. `view` and `figures`: what `tasks.report.page` takes and draws; what is absent is left out."""
    parts = [_head(view["summary"]), _tiles(view), _data(view, figures), _training(view, figures)]
    parts += [_quality(view, figures), _candidates(view, figures), _calling(view), _lineage(view)]
    return "\n\n".join(line for part in parts for line in part if line)


def summary_rows(summary: Mapping[str, Any], metric: str) -> list[dict[str, str]]:
    """The few figures that matter, a row each, as a table artifact shows them."""
    verdict = summary["verdict"]
    row = {"label": "Verdict", "value": DECISIONS[verdict["decision"]], "detail": "; ".join(verdict["reasons"])}
    return [row, *({**tile, "label": tile["label"].capitalize()} for tile in tiles(summary, metric))]


def _head(summary: Mapping[str, Any]) -> Iterator[str]:
    verdict, release = summary["verdict"], summary.get("release") or {}
    yield f"# {DECISIONS[verdict['decision']]}: {_cell(summary['pipeline'])}"
    if release.get("version"):
        serves = f", serves as {release['alias']}" if release.get("alias") else ""
        yield f"{release['model']} version {release['version']}{serves}"
    yield "\n".join(f"- {_cell(reason)}" for reason in verdict["reasons"])


def _tiles(view: Mapping[str, Any]) -> Iterator[str]:
    shown = tiles(view["summary"], gate_metric(view))
    yield table(("", "", ""), ((tile["label"].capitalize(), tile["value"], tile["detail"]) for tile in shown))


def _data(view: Mapping[str, Any], figures: Mapping[str, str]) -> Iterator[str]:
    dataset, data = view.get("dataset") or {}, view["summary"].get("data")
    if not data:
        return
    yield "## Data"
    yield row_sentence(data)
    splits = split_shares(dataset)
    yield table(
        ("Split", "Rows", "Share"), ((s["name"], count(s["rows"]), f"{100 * s['share']:.1f} %") for s in splits)
    )
    yield table(("Rule", "Rows refused"), ((rule["rule"], count(rule["count"])) for rule in quarantine_rules(dataset)))
    yield "\n".join(f"- {_cell(told)}" for told in (*findings_told(data), *data.get("changes", ())))
    yield table(("Rule", "Rows filtered"), ((rule["rule"], count(rule["count"])) for rule in filter_rules(dataset)))
    refused = view.get("quarantine") or []
    yield table(("File", "Row", "Reason"), ((row["_file"], row["_row"], row["reason"]) for row in refused))
    yield image("Rows by class", figures.get("balance"))


def _training(view: Mapping[str, Any], figures: Mapping[str, str]) -> Iterator[str]:
    if figures.get("loss"):
        yield "## Training"
        yield image("Loss by epoch; the ring marks the best validation loss", figures["loss"])


def _quality(view: Mapping[str, Any], figures: Mapping[str, str]) -> Iterator[str]:
    metrics = view["summary"].get("metrics") or {}
    yield "## Quality on test rows" if metrics else ""
    yield table(
        ("Metric", "Value", "Interval", "Rows"),
        (
            (metric_name(name), metric_value(name, e["value"]), metric_range(name, e), count(e["n"]))
            for name, e in metrics.items()
        ),
    )
    yield image("Metrics with bootstrap intervals", figures.get("metrics"))
    yield image("Actual against predicted class", figures.get("confusion"))
    if not figures.get("confusion"):
        errors = most_confused(view) or []
        yield table(("Actual", "Predicted", "Rows"), ((e["actual"], e["predicted"], e["rows"]) for e in errors))


def _candidates(view: Mapping[str, Any], figures: Mapping[str, str]) -> Iterator[str]:
    candidates = view.get("candidates") or []
    if not candidates:
        return
    yield "## Compression"
    yield table(
        ("Candidate", "Size", metric_name(candidates[0]["metric"]), "Batch 1", "Batch 32", ""),
        (
            (
                item["name"],
                size(item["bytes"]),
                metric_value(item["metric"], item["value"]),
                ratio(item["latency_ratio_b1"]),
                ratio(item["latency_ratio_b32"]),
                "chosen" if item["chosen"] else "",
            )
            for item in candidates
        ),
    )
    yield "\n".join(f"- {_cell(item['name'])}: {_cell(item['why'])}" for item in candidates if item.get("why"))
    yield image("Size, quality and speed of the candidates", figures.get("candidates"))


def _calling(view: Mapping[str, Any]) -> Iterator[str]:
    serve = view.get("serve")
    if serve and (view["summary"].get("release") or {}).get("version"):
        yield "## Call the model"
        yield f"```\n{serve_command(serve)}\n{curl(serve)}\n```"


def _lineage(view: Mapping[str, Any]) -> Iterator[str]:
    rows = view.get("lineage") or []
    yield "## Steps" if rows else ""
    yield table(
        ("Step", "State", *HEADINGS, "Key", "Output"),
        ((r["step"], r["state"], *cost_cells(r).values(), r["key"][:12], r["output"][:12]) for r in rows),
    )
    yield saved(rows).capitalize()
    if view.get("config"):
        yield f"## Configuration\n\n```yaml\n{yaml_text(view['config'])}```"


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table; empty where it has no rows."""
    lines = [f"| {' | '.join(_cell(value) for value in row)} |" for row in rows]
    return "\n".join([f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}", *lines]) if lines else ""


def image(caption: str, svg: str | None) -> str:
    """A figure as an image in the text, in the light colours and on paper, as the page around it may be light or dark."""
    if not svg:
        return ""
    colours = dict(COLOURS.findall((Path(__file__).parent / "page.css").read_text()))
    drawn = re.sub(r"var\((--[a-z]+)\)", lambda found: colours[found.group(1)], svg)
    width, height = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', drawn).groups()  # pyright: ignore[reportOptionalMemberAccess]
    paper = f'<rect width="100%" height="100%" rx="6" fill="{colours["--paper"]}"/>'
    sized = f'<svg {NAMESPACES} width="{float(width) * 1.5:.0f}" height="{float(height) * 1.5:.0f}" '
    drawn = re.sub(r"^<svg ([^>]*)>", lambda found: f"{sized}{found.group(1)}>{paper}", drawn, count=1)
    return f"![{caption}](data:image/svg+xml;base64,{base64.b64encode(drawn.encode()).decode()})"


def _cell(value: Any) -> str:
    """A text that cannot end a table's cell or be taken for Markdown or HTML."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return re.sub(r"([|<\\`*_\[\]])", r"\\\1", " ".join(text.split()))
