"""C4's rules about whole pages (Raffel et al. 2020, §2.2)."""

import re
from typing import Any

import numpy as np

from tasks.frames.arrow import pc
from tasks.frames.cleaning.quality.lines import true
from tasks.frames.cleaning.verdicts import Verdicts
from tasks.sections import C4Pass

SENTENCE = "[.!?][\"'”’)\\]]*(?:\\s|$)|[。！？]"  # where one ends


def by_c4(wish: C4Pass, texts: Any, verdicts: Verdicts) -> None:
    """Rules sentence_count, banned and bad_words."""
    if wish.min_sentences is not None:
        sentences = np.asarray(pc.fill_null(pc.count_substring_regex(texts, SENTENCE), 0))
        wanted = f"at least {wish.min_sentences} sentences"
        verdicts.refuse(sentences < wish.min_sentences, "sentence_count", sentences, wanted)
    for words in wish.without:
        banned = true(pc.match_substring(texts, words, ignore_case=words.lower() != words.upper()))
        verdicts.refuse(banned, "banned", None, f"a text without {words!r}")
    if wish.bad_words:
        pattern = f"(?i)\\b(?:{'|'.join(map(re.escape, wish.bad_words))})\\b"
        verdicts.refuse(true(pc.match_substring_regex(texts, pattern)), "bad_words", None, "a text without bad words")
