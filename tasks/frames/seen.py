"""What all rows of a data set look like, column by column: what a contract is inferred from. Gathered in each shard, and merged."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import pyarrow as pa

from tasks.frames.arrow import pc
from tasks.frames.schema import ARRAYS, Column, Schema

MOST_CATEGORIES = 1000  # different values of a column that are counted; more are none to be listed
TRIED = 64  # values that a pattern must match before it is tried on all
PATTERNS = {
    "date": r"\d{4}-\d{2}-\d{2}",
    "date and time": r"\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?",
    "UUID": r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}",
    "e-mail": r"[^@\s]+@[^@\s]+\.[^@\s]+",
    "URL": r"https?://\S+",
    "digits": r"\d+",
}
Seen = dict[str, Any]
"""Of one column: `rows`, `missing`; numbers `least`, `most`; whole ones `spans` ([least, most] of each shard, None once a value came twice);
texts `shortest`, `longest`; categories `counts` (None: too many) and `patterns` (names of those that all match)."""


def seen_in(schema: Schema, rows: pa.Table) -> dict[str, Seen]:
    """By column, of the rows of one shard; empty where there are none."""
    return {column.name: _seen(column, rows.column(column.name)) for column in schema.columns} if rows.num_rows else {}


def merged(parts: Sequence[Mapping[str, Seen]], columns: Sequence[Column]) -> dict[str, Seen]:
    """The same of all shards, given in any order."""
    there = [part for part in parts if part]
    return {column.name: _merged([part[column.name] for part in there]) for column in columns}


def is_unique(seen: Seen) -> bool:
    """Whether no value came twice, as far as spans that do not meet can prove it."""
    spans = seen.get("spans")
    return bool(spans) and all(one[1] < next[0] for one, next in pairwise(sorted(spans)))


def _seen(column: Column, values: pa.ChunkedArray) -> Seen:
    found: Seen = {"rows": len(values), "missing": values.null_count}
    known = values.drop_null()
    if column.type in ARRAYS or not len(known):
        return found
    if column.type in ("integer", "number"):
        ends = pc.min_max(known).as_py()
        spans = {"spans": _spans(known, ends)} if column.type == "integer" else {}
        return {**found, "least": ends["min"], "most": ends["max"], **spans}
    texts = _distinct(known)
    lengths = pc.min_max(pc.utf8_length(texts)).as_py()
    found |= {"shortest": lengths["min"], "longest": lengths["max"]}
    if column.type != "category":
        return found
    counts = pc.value_counts(known)
    few = len(counts) <= MOST_CATEGORIES
    told = dict(sorted((one["values"].as_py(), one["counts"].as_py()) for one in counts)) if few else None
    return {**found, "counts": told, "patterns": _patterns(texts)}


def _spans(known: pa.ChunkedArray, ends: Mapping[str, int]) -> list[list[int]] | None:
    first = known.slice(0, TRIED)
    unique = pc.count_distinct(first).as_py() == len(first) and pc.count_distinct(known).as_py() == len(known)
    return [[ends["min"], ends["max"]]] if unique else None


def _distinct(known: pa.ChunkedArray) -> Any:
    """The texts, each once where they are coded in a dictionary."""
    return pc.unique(known).dictionary if pa.types.is_dictionary(known.type) else known


def _patterns(known: Any) -> list[str]:
    return [name for name, pattern in PATTERNS.items() if _all(known.slice(0, TRIED), pattern) and _all(known, pattern)]


def _all(values: Any, pattern: str) -> bool:
    return pc.all(pc.match_substring_regex(values, f"^(?:{pattern})$")).as_py()


def _merged(parts: Sequence[Seen]) -> Seen:
    found: Seen = {name: sum(part[name] for part in parts) for name in ("rows", "missing")}
    known = [part for part in parts if part["rows"] > part["missing"]]
    for name, choose in (("least", min), ("most", max), ("shortest", min), ("longest", max)):
        if values := [part[name] for part in known if name in part]:
            found[name] = choose(values)
    if spans := [part["spans"] for part in known if "spans" in part]:
        found["spans"] = None if None in spans else [span for some in spans for span in some]
    if counts := [part["counts"] for part in known if "counts" in part]:
        found["counts"] = None if None in counts else _counted(counts)
        found["patterns"] = [name for name in PATTERNS if all(name in part["patterns"] for part in known)]
    return found


def _counted(counts: Sequence[Mapping[str, int]]) -> dict[str, int] | None:
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return dict(sorted(total.items())) if len(total) <= MOST_CATEGORIES else None
