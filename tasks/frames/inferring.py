"""The contract that a data set would fulfil: what `millrace contract` shows, to be read, changed and put into a configuration."""

from collections.abc import Mapping
from typing import Any

from tasks.frames.schema import Schema
from tasks.frames.seen import PATTERNS, Seen, is_unique
from tasks.sections import DataSection

FEW_CATEGORIES = 64  # as many are listed; more are a pattern or nothing
SLACK = 0.05  # by so much a share may differ, at least
STANDARD_ERRORS = 5  # … or by so many of them
WARN = {"action": "warn"}


def contract_of(section: DataSection, schema: Schema, seen: Mapping[str, Seen]) -> dict[str, Any]:
    """What `data.contract` takes: rules that are declared as they are, others as all rows of the data set are.

    What is inferred refuses rows for type, missing values and patterns, and warns of values that were not there before.
    """
    declared = section.rules
    columns = [
        declared[column.name].model_dump(mode="json", exclude_defaults=True)
        if column.name in declared
        else _column(column.name, column.type, seen[column.name], column in schema.targets)
        for column in (*schema.columns, *schema.watched)
        if column.name in declared or column.name in seen
    ]
    given = section.contract.model_dump(mode="json", exclude_defaults=True)
    shares = given.get("shares") or [
        one for column in schema.columns for one in _shares(column.name, column.type, seen)
    ]
    unique = given.get("unique") or [{"columns": [name], **WARN} for name, one in seen.items() if is_unique(one)]
    return {**given, "columns": columns, "unique": unique, "shares": shares}


def _column(name: str, kind: str, seen: Seen, is_target: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name, "type": "text" if kind == "passage" else kind}
    if not seen["missing"] and not is_target:
        found["nullable"] = False
    handling: dict[str, Any] = {}
    if "least" in seen:
        found |= {"minimum": seen["least"], "maximum": seen["most"]}
        handling["range"] = WARN
    counts = seen.get("counts")
    if counts and len(counts) <= FEW_CATEGORIES:
        found["categories"] = list(counts)
        handling["category"] = WARN
    elif "longest" in seen and kind != "passage":
        found |= {"shortest": seen["shortest"], "longest": seen["longest"]}
        handling["length"] = WARN
        if patterns := seen.get("patterns"):
            found["pattern"] = PATTERNS[patterns[0]]
    return {**found, **({"handling": handling} if handling else {})}


def _shares(name: str, kind: str, seen: Mapping[str, Seen]) -> list[dict[str, Any]]:
    """Of missing values, and of the values of a column that has two to ten."""
    found, counts = seen[name], seen[name].get("counts") or {}
    rows = found["rows"]
    told = [{"column": name, "maximum": _upwards(found["missing"], rows)}] if found["missing"] else []
    few = counts if 2 <= len(counts) <= 10 and kind == "category" else {}
    return told + [
        {"column": name, "value": value, "minimum": _downwards(count, rows), "maximum": _upwards(count, rows)}
        for value, count in few.items()
    ]


def _slack(count: int, rows: int) -> float:
    share = count / rows
    return max(SLACK, STANDARD_ERRORS * (share * (1 - share) / rows) ** 0.5)


def _upwards(count: int, rows: int) -> float:
    return round(min(1.0, count / rows + _slack(count, rows)), 4)


def _downwards(count: int, rows: int) -> float:
    return round(max(0.0, count / rows - _slack(count, rows)), 4)
