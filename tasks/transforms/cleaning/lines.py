"""Lines that are sentences, by the line rules of C4 (Raffel et al. 2020, §2.2)."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from tasks.transforms.cleaning.arrow import pc

MARKS = '[.!?。！？…]["\'”’»」』)）]*$|["”’»」』]$'


def sentences(texts: Any, step: Mapping[str, Any]) -> Any:
    """The lines of each text that `ends_in_mark`, `min_words` and `without` of LinesPass leave, in their order."""
    parts = pc.split_pattern(texts, "\n")
    flat = parts.flatten()
    kept = _kept(pc.utf8_trim_whitespace(flat), step)
    if kept.all():
        return texts
    counts = np.concatenate([[0], np.cumsum(kept)])
    offsets = counts[parts.offsets.to_numpy() - parts.offsets[0].as_py()]
    lists = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), flat.filter(pa.array(kept)))
    return pc.if_else(pc.is_null(texts), pa.scalar(None, pa.string()), pc.binary_join(lists, "\n"))


def _kept(lines: Any, step: Mapping[str, Any]) -> np.ndarray:
    kept = np.ones(len(lines), bool)
    if step["ends_in_mark"]:
        kept &= _true(pc.match_substring_regex(lines, MARKS))
    if step["min_words"]:
        kept &= _true(pc.match_substring_regex(lines, f"^(?:\\S+\\s+){{{step['min_words'] - 1}}}\\S"))
    lowered = pc.utf8_lower(lines) if step["without"] else lines
    for words in step["without"]:
        kept &= ~_true(pc.match_substring(lowered, words))
    return kept


def _true(mask: Any) -> np.ndarray:
    return np.asarray(mask.to_numpy(zero_copy_only=False), bool)
