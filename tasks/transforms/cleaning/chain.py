"""The passes that change values, and their order: each is a pure function of an Arrow array and its parameters."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from tasks.transforms.cleaning import characters, html_text, lines, numbers, pii, spaces
from tasks.transforms.cleaning.arrow import pc

Step = Mapping[str, Any]
CHANGES: dict[str, Callable[[Any, Step], Any]] = {
    "unicode": characters.as_meant,
    "whitespace": spaces.single,
    "html": html_text.as_read,
    "lowercase": spaces.lower,
    "lines": lines.sentences,
    "pii": pii.masked,
    "clip": numbers.clipped,
    "missing": numbers.filled,
}
ROUNDS = 8


def apply(step: Step, kind: str, values: Any) -> Any:
    """The values after one step, in the form of their column's type: texts trimmed (not passages, whose white space counts), empty ones null."""
    changed = CHANGES[step["kind"]](values, step)
    if not pa.types.is_string(changed.type):
        return changed
    trimmed = changed if kind == "passage" else pc.utf8_trim_whitespace(changed)
    return pc.if_else(pc.equal(pc.binary_length(trimmed), 0), pa.scalar(None, pa.string()), trimmed)


def settle(steps: Sequence[Step], kind: str, values: Any, rounds: int = ROUNDS) -> tuple[Any, dict[int, str]]:
    """The values after all steps, and again after all steps until they stay as they are, so that what is clean is not changed by cleaning.

    With them the rows that have no value then (`empty`), or that go on changing in the last of so many `rounds` (`unsettled`).
    """
    rows = np.arange(len(values))
    cleaned, before = values, values
    for _ in range(rounds):
        after = before
        for step in steps:
            after = apply(step, kind, after)
        moved = differing(before, after)
        if not moved.any():
            break
        rows, before = rows[moved], after.filter(pa.array(moved))
        cleaned = put(cleaned, rows, before)
    else:
        return cleaned, {**_empty(cleaned), **{int(row): "unsettled" for row in rows}}
    return cleaned, _empty(cleaned)


def differing(before: Any, after: Any) -> np.ndarray:
    """(N,) bool: where two arrays have not the same value."""
    both_null = pc.and_(pc.is_null(before), pc.is_null(after))
    same = pc.or_(both_null, pc.fill_null(pc.equal(before, after), False))
    return np.asarray(pc.invert(same).to_numpy(zero_copy_only=False), bool)


def put(values: Any, rows: np.ndarray, by: Any) -> Any:
    """`values` with `by` in those rows."""
    mask = np.zeros(len(values), bool)
    mask[rows] = True
    return pc.replace_with_mask(values, pa.array(mask), by)


def _empty(values: Any) -> dict[int, str]:
    missing = np.flatnonzero(np.asarray(values.is_null().to_numpy(zero_copy_only=False)))
    return {int(row): "empty" for row in missing}
