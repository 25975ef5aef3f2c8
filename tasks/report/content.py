"""What the page says, taken from the view: tiles, shares, counts. Plain values, no HTML."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from tasks.report.formats import count, metric_name, metric_range, metric_value, ratio, size
from tasks.report.rows import row_counts


def gate_metric(view: Mapping[str, Any]) -> str:
    """The metric that decided: the configuration's, else the candidates', else the first."""
    candidates, metrics = view.get("candidates") or [{}], view["summary"].get("metrics") or {"accuracy": {}}
    configured = ((view.get("config") or {}).get("evaluate") or {}).get("metric")
    return configured or candidates[0].get("metric") or next(iter(metrics))


def tiles(summary: Mapping[str, Any], metric: str) -> list[dict[str, str]]:
    """The few figures at the top: `label`, `value`, `detail`."""
    shown = []
    entry = (summary.get("metrics") or {}).get(metric)
    if entry:
        detail = f"{metric_range(metric, entry)}, {count(entry['n'])} test rows"
        shown.append({"label": metric_name(metric), "value": metric_value(metric, entry["value"]), "detail": detail})
    packed = summary.get("compression")
    if packed:
        before, after = size(packed["model_bytes_before"]), size(packed["model_bytes_after"])
        value, way = _way(packed["size_ratio"], "smaller", "larger")
        shown.append({"label": f"{way} than fp32", "value": value, "detail": f"{before} → {after}"})
        value, way = _way(packed.get("latency_ratio_b1"), "faster", "slower")
        detail = f"at batch 1; {ratio(packed.get('latency_ratio_b32'))} at batch 32"
        shown.append({"label": f"{way} than fp32", "value": value, "detail": detail})
    data = summary.get("data")
    if data:
        refused = ", ".join(f"{count(number)} {word}" for number, word in row_counts(data)[2:])
        shown.append(
            {
                "label": "Rows used",
                "value": count(data["rows_out"]),
                "detail": f"of {count(data['rows_in'])}; {refused}",
            }
        )
    return shown


def _way(value: float | None, more: str, less: str) -> tuple[str, str]:
    """A ratio as people say it: never `0.5× faster`."""
    if value is None or value >= 1:
        return ratio(value), more
    return ratio(1 / value if value else None), less


def split_shares(dataset: Mapping[str, Any]) -> list[dict[str, Any]]:
    """`name`, `rows` and `share` of each split."""
    splits = dataset.get("splits") or {}
    total = sum(splits.values()) or 1
    return [
        {"name": name, "rows": splits[name], "share": splits[name] / total}
        for name in ("train", "validation", "test")
        if splits.get(name)
    ]


def quarantine_rules(dataset: Mapping[str, Any]) -> list[dict[str, Any]]:
    """`rule` and `count` of the rows that were refused, most frequent first."""
    return sorted(dataset.get("quarantine") or [], key=lambda entry: -entry["count"])


def filter_rules(dataset: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The same of the rows that passes left out."""
    return sorted(dataset.get("filtered") or [], key=lambda entry: -entry["count"])


def findings_told(data: Mapping[str, Any]) -> list[str]:
    """What the contract found in rows that were kept, a line each; `data`: of the summary."""
    words = {"fix": "changed", "warn": "kept as they are"}
    return [
        one["example"]
        if one["rule"].endswith(": share")
        else f"{one['rule']}: {count(one['count'])} {'row' if one['count'] == 1 else 'rows'} {words[one['action']]}"
        + (f", e.g. {one['example']}" if one["example"] else "")
        for one in data.get("findings", ())
    ]


def class_counts(view: Mapping[str, Any]) -> tuple[dict[str, float], str]:
    """Rows by class and what they are rows of: the training rows' profile, else the test rows' confusion matrix."""
    dataset = view.get("dataset") or {}
    profile = (dataset.get("profile") or {}).get(dataset.get("target")) or {}
    if isinstance(profile.get("counts"), Mapping) and dataset.get("task") != "regression":
        return _ordered(profile["counts"], view), "training rows"
    if confusion := view.get("confusion"):
        return dict(zip(confusion["classes"], map(sum, confusion["matrix"]), strict=True)), "test rows"
    return {}, ""


def most_confused(view: Mapping[str, Any], most: int = 15) -> list[dict[str, Any]] | None:
    """`actual`, `predicted`, `rows` of the most frequent errors; None where there is no confusion matrix."""
    confusion = view.get("confusion")
    if not confusion:
        return None
    names = confusion["classes"]
    errors = [
        {"actual": names[row], "predicted": names[column], "rows": number}
        for row, counts in enumerate(confusion["matrix"])
        for column, number in enumerate(counts)
        if number and row != column
    ]
    return sorted(errors, key=lambda error: -error["rows"])[:most]


def _ordered(counts: Mapping[str, float], view: Mapping[str, Any]) -> dict[str, float]:
    """In the model's order of classes, where it is known."""
    known = (view.get("confusion") or {}).get("classes") or []
    names = [name for name in known if name in counts]
    return {name: counts[name] for name in (*names, *(name for name in counts if name not in names))}


def steps_total(lineage: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """`computed`, `cached`: how many; `longest`: seconds of the longest step, never 0."""
    cached = sum(row.get("state") == "cached" for row in lineage)
    longest = max((row.get("seconds") or 0.0 for row in lineage), default=0.0)
    return {"cached": cached, "computed": len(lineage) - cached, "longest": longest or 1.0}


def yaml_text(config: Any) -> str:
    """The configuration as the file that `--config` takes; empty if there is none."""
    return yaml.safe_dump(config, sort_keys=False, allow_unicode=True, width=100) if config else ""
