"""Which rows break which rule, and what is done with them: refused, changed, counted, or the end of the run."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from storage.errors import SchemaError
from tasks.frames.arrow import pc
from tasks.frames.raw import FILE, ROW, Refusal, cut
from tasks.sections import Handling
from tasks.transforms.items import show


@dataclass(frozen=True)
class Rule:
    """`name`: as quarantine counts it; `label`: what tells it from all others, as in `age: range`; `columns`: what it looks at; `wanted`:
    in words."""

    name: str
    label: str
    columns: tuple[str, ...]
    wanted: str


@dataclass(frozen=True)
class Findings:
    """`counts`: rows by rule's label and action (`quarantine`: refused for it; `fix`, `warn`: kept all the same); `examples`: of the
    latter, the first by label and action."""

    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    examples: Mapping[str, str] = field(default_factory=dict)


class Breaches:
    """The first rule that each row of `table` is refused for, and what else was found in the rows that are kept."""

    def __init__(self, table: pa.Table, texts: Callable[[np.ndarray], pa.Table] | None = None) -> None:
        """`texts`: as of `Raw`."""
        self.table = table
        self._texts = texts
        self._refused_by = np.zeros(table.num_rows, dtype=np.int32)  # 0: kept; else 1 + the rule's place
        self._rules: list[Rule] = []
        self._told: list[tuple[Rule, str, np.ndarray]] = []

    @property
    def kept(self) -> np.ndarray:
        """A mask of the rows that are not refused."""
        return self._refused_by == 0

    def settle(self, array: Any, mask: np.ndarray, rule: Rule, handling: Handling, nearest: Any = None) -> Any:
        """`array` after the cells of `mask`, which break `rule`, were handled. `nearest`: the values that clip makes of it.

        SchemaError where the handling is to fail.
        """
        mask = mask & self.kept
        if not mask.any():
            return array
        if handling.action == "fail":
            raise SchemaError(f"{self._told_of(rule, int(mask.argmax()))}; the contract says: fail")
        if handling.action == "quarantine":
            self._rules.append(rule)
            self._refused_by[mask] = len(self._rules)
            return array
        self._told.append((rule, handling.action, mask))
        if handling.action == "warn":
            return array
        fixed = nearest if handling.fix == "clip" else pa.scalar(handling.value, plain(array).type)
        return pc.if_else(pa.array(mask), fixed, plain(array))

    def findings(self) -> Findings:
        """What was found, counted."""
        counts: dict[str, Counter[str]] = {}
        examples: dict[str, str] = {}
        for place, rows in enumerate(np.bincount(self._refused_by, minlength=len(self._rules) + 1)[1:].tolist()):
            counts.setdefault(self._rules[place].label, Counter())["quarantine"] += rows
        for rule, action, mask in self._told:
            rows = np.flatnonzero(mask & self.kept)
            if len(rows):
                counts.setdefault(rule.label, Counter())[action] += len(rows)
                examples.setdefault(f"{rule.label}: {action}", self._told_of(rule, int(rows[0])))
        return Findings({label: dict(counts[label]) for label in sorted(counts)}, examples)

    def refusals(self, columns: list[str]) -> list[Refusal]:
        """The refused rows; of each is kept what it had in `columns`."""
        places = np.flatnonzero(self._refused_by)
        rows = self._rows(places, columns) if len(places) else []
        found = []
        for place, row in zip(places, rows, strict=True):
            rule = self._rules[self._refused_by[place] - 1]
            raw = orjson.dumps({name: row[name] for name in columns}, default=str).decode()
            found.append(Refusal(row[FILE], row[ROW], rule.name, _reason(rule, row), cut(raw), rule.label))
        return found

    def _told_of(self, rule: Rule, place: int) -> str:
        row = self._rows(np.array([place]), rule.columns)[0]
        return f"{row[FILE]} row {row[ROW]}: {_reason(rule, row)}"

    def _rows(self, places: np.ndarray, columns: Sequence[str]) -> list[dict[str, Any]]:
        """Those rows with their origin, their cells as they were written."""
        rows = self.table.select([*columns, FILE, ROW]).take(pa.array(places)).to_pylist()
        texts = self._texts(places).to_pylist() if self._texts else rows
        return [{**row, **{name: text.get(name) for name in columns}} for row, text in zip(rows, texts, strict=True)]


def plain(values: Any) -> Any:
    """Values that are no longer coded in a dictionary."""
    return values.cast(values.type.value_type) if pa.types.is_dictionary(values.type) else values


def _reason(rule: Rule, row: Mapping[str, Any]) -> str:
    if len(rule.columns) == 1:
        return f"column {rule.columns[0]!r}: found {show(row[rule.columns[0]])}, wanted {rule.wanted}"
    found = ", ".join(f"{name} {show(row[name])}" for name in rule.columns)
    return f"found {found}, wanted {rule.wanted}"
