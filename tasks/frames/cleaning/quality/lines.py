"""The lines of many texts, and which of them came before in the same text."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from tasks.frames.arrow import pc


@dataclass(frozen=True)
class Lines:
    """`lines` (L,): lines (or paragraphs) that are not blank, trimmed; `texts` (L,): the text of each; `count`: N texts."""

    lines: Any
    texts: np.ndarray
    count: int

    @classmethod
    def of(cls, texts: Any, separator: str = "\n") -> "Lines":
        """Split at each separator."""
        parts = pc.split_pattern(texts, separator)
        flat, owners = pc.utf8_trim_whitespace(parts.flatten()), pc.list_parent_indices(parts)
        some = pc.greater(pc.binary_length(flat), 0)
        return cls(flat.filter(some), owners.filter(some).to_numpy(), len(texts))

    @cached_property
    def characters(self) -> np.ndarray:
        """(L,)"""
        return np.asarray(pc.utf8_length(self.lines), np.int64)

    @cached_property
    def repeated(self) -> np.ndarray:
        """(L,) whether the same line came before in its text."""
        several = np.bincount(self.texts, minlength=self.count)[self.texts] > 1
        codes = self.lines.filter(pa.array(several)).dictionary_encode().indices.to_numpy().astype(np.int64)
        _, first = np.unique(self.texts[several] * np.int64(len(codes) + 1) + codes, return_index=True)
        later = several.copy()
        later[np.flatnonzero(several)[first]] = False
        return later

    def share(self, mask: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """(N,) the share of each text's lines for which `mask` is true, weighed; 0 where there are none."""
        weights = np.ones(len(mask)) if weights is None else weights
        part = np.bincount(self.texts, weights * mask, self.count)
        return part / np.maximum(np.bincount(self.texts, weights, self.count), 1)


def true(mask: Any) -> np.ndarray:
    """A boolean array of Arrow's as NumPy has it; null is false."""
    return np.asarray(pc.fill_null(mask, False).to_numpy(zero_copy_only=False), bool)
