"""The report: one HTML file that needs nothing else, light and dark, on a desk and on a phone."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from tasks.report import formats
from tasks.report.content import (
    class_counts,
    filter_rules,
    findings_told,
    gate_metric,
    most_confused,
    quarantine_rules,
    split_shares,
    steps_total,
    tiles,
    yaml_text,
)
from tasks.report.costs import HEADINGS, cost_cells, saved, total_cells
from tasks.report.figures import candidates_plot, class_balance, confusion_matrix, loss_curve, metric_intervals
from tasks.report.serving import curl, serve_command

FOLDER = Path(__file__).parent


def render(view: Mapping[str, Any], figures: Mapping[str, str] | None = None) -> str:
    """The page for one run. Only `summary` is needed; what is absent in `view` is left out with a word. All values are escaped.

    `figures`: what `draw` gave, where it was drawn already.
    """
    summary = view["summary"]
    environment = Environment(loader=FileSystemLoader(FOLDER), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {
        "size": formats.size,
        "duration": formats.duration,
        "ratio": formats.ratio,
        "count": formats.count,
        "cost_cells": cost_cells,
    }
    serve, lineage = view.get("serve"), view.get("lineage") or []
    return environment.get_template("page.html.j2").render(
        summary=summary,
        verdict=summary.get("verdict") or {"decision": "hold", "reasons": ["no verdict was reached"]},
        release=summary.get("release") or {},
        data=summary.get("data") or {},
        metrics=summary.get("metrics") or {},
        compression=summary.get("compression") or {},
        tiles=tiles(summary, gate_metric(view)),
        splits=split_shares(view.get("dataset") or {}),
        balance_unit=class_counts(view)[1].capitalize(),
        rules=quarantine_rules(view.get("dataset") or {}),
        filtered=filter_rules(view.get("dataset") or {}),
        quarantine=view.get("quarantine") or [],
        findings=findings_told(summary.get("data") or {}),
        confused=most_confused(view),
        history=view.get("history") or [],
        candidates=view.get("candidates") or [],
        lineage=lineage,
        total=steps_total(lineage),
        cost_headings=HEADINGS,
        total_cells=total_cells(lineage),
        saved=saved(lineage),
        serve={**serve, "command": serve_command(serve), "curl": curl(serve)} if serve else None,
        config=yaml_text(view.get("config")),
        started=view.get("started", ""),
        machine=view.get("machine", ""),
        figures={
            name: Markup(drawn) for name, drawn in (figures or draw(view)).items()
        },  # ours; their texts are escaped in them
        decisions=formats.DECISIONS,
        metric_name=formats.metric_name,
        metric_value=formats.metric_value,
        metric_range=formats.metric_range,
        compared_sizes=formats.compared_sizes,
        continued=formats.continued,
        style=Markup((FOLDER / "page.css").read_text()),  # a file of this package
        script=Markup((FOLDER / "page.js").read_text()),
    )


def draw(view: Mapping[str, Any]) -> dict[str, str]:
    """Inline SVG by name; an empty text where there is nothing to draw."""
    metrics, confusion = view["summary"].get("metrics") or {}, view.get("confusion")
    candidates, history = view.get("candidates") or [], view.get("history") or []
    counts, unit = class_counts(view)
    return {
        "loss": loss_curve(history) if len(history) > 1 else "",
        "metrics": metric_intervals(metrics),
        "confusion": confusion_matrix(confusion["classes"], confusion["matrix"]) if confusion else "",
        "candidates": candidates_plot(candidates, gate_metric(view)) if candidates else "",
        "balance": class_balance(counts, unit) if counts else "",
    }
