"""The passes that leave rows out: each says which, by which rule and why, of the values of one column."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tasks.frames.arrow import pc
from tasks.frames.cleaning import languages
from tasks.frames.cleaning.quality import c4, fineweb, gopher, repetition
from tasks.frames.cleaning.verdicts import Verdicts
from tasks.sections import LengthPass, MissingPass, PiiPass
from tasks.transforms.cleaning import pii


def by_length(wish: LengthPass, texts: Any, verdicts: Verdicts) -> None:
    """Rules `length.minimum` and `length.maximum`, in characters."""
    characters = np.asarray(pc.fill_null(pc.utf8_length(texts), 0))
    verdicts.refuse(characters < wish.minimum, "minimum", characters, f"at least {wish.minimum:,} characters")
    if wish.maximum is not None:
        verdicts.refuse(characters > wish.maximum, "maximum", characters, f"at most {wish.maximum:,} characters")


def by_personal_data(wish: PiiPass, texts: Any, verdicts: Verdicts) -> None:
    """Rules `pii.email`, `pii.phone`, …: by what comes first in a text."""
    rows, kinds = pii.rows_with(texts, wish.find)
    for kind in wish.find:
        mask = np.zeros(len(texts), bool)
        mask[[row for row, found in zip(rows.tolist(), kinds, strict=True) if found == kind]] = True
        verdicts.refuse(mask, kind, None, f"a text without personal data ({kind})")


def by_missing(wish: MissingPass, values: Any, verdicts: Verdicts) -> None:
    """Rule `missing`."""
    verdicts.refuse(values.is_null().to_numpy(zero_copy_only=False), "", None, "a value")


FILTERS: dict[str, Callable[[Any, Any, Verdicts], None]] = {
    "length": by_length,
    "pii": by_personal_data,
    "missing": by_missing,
    "language": languages.by_language,
    "gopher": gopher.by_gopher,
    "gopher_repetition": repetition.by_repetition,
    "c4": c4.by_c4,
    "fineweb": fineweb.by_fineweb,
}
PREFIXES = {
    "gopher": "quality.gopher",
    "gopher_repetition": "quality.repetition",
    "c4": "quality.c4",
    "fineweb": "quality.fineweb",
}
