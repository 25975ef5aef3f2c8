"""pyarrow.compute as a value of any type, and what every pass over texts begins with: only the texts that may change are looked at."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute

pc: Any = pyarrow.compute


def where(texts: pa.StringArray, chosen: Any, change: Callable[[Any], Any]) -> Any:
    """`texts` with `change` made to those where the boolean array `chosen` is true."""
    chosen = pc.fill_null(chosen, False)
    count = pc.sum(chosen).as_py()
    if not count:
        return texts
    if count == len(texts):
        return change(texts)
    return pc.replace_with_mask(texts, chosen, change(texts.filter(chosen)))


def replaced(texts: pa.StringArray, pattern: str, by: str) -> Any:
    """Each match of an RE2 pattern replaced; texts without one are not copied."""
    return where(
        texts,
        pc.match_substring_regex(texts, pattern),
        lambda some: pc.replace_substring_regex(some, pattern, by),
    )


def one_by_one(change: Callable[[str], str]) -> Callable[[Any], Any]:
    """A change of one text as a change of an array."""
    return lambda texts: pa.array([None if text is None else change(text) for text in texts.to_pylist()], pa.string())
