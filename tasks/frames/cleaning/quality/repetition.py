"""Gopher's repetition rules (Rae et al. 2021, table A1)."""

from typing import Any

import numpy as np

from tasks.frames.cleaning.quality.lines import Lines
from tasks.frames.cleaning.quality.ngrams import Hashed, repeated_shares, top_shares
from tasks.frames.cleaning.quality.words import blocks
from tasks.frames.cleaning.verdicts import Verdicts
from tasks.sections import GopherRepetitionPass


def by_repetition(wish: GopherRepetitionPass, texts: Any, verdicts: Verdicts) -> None:
    """Rules duplicate_lines, duplicate_paragraphs, duplicate_line_characters, …, top_2gram to top_4gram, duplicate_5gram to duplicate_10gram."""
    for name, separator in (("line", "\n"), ("paragraph", "\n\n")):
        _by_lines(wish, texts, verdicts, name, separator)
    top, repeated = dict(enumerate(wish.top_ngrams, 2)), dict(enumerate(wish.duplicate_ngrams, 5))
    found = [(top_shares(one, top), repeated_shares(one, repeated)) for one in map(Hashed.of, blocks(texts))]
    for place, (name, bounds) in enumerate((("top", top), ("duplicate", repeated))):
        for length, most in bounds.items():
            shares = np.concatenate([np.zeros(0), *(one[place][length] for one in found)])
            verdicts.refuse(shares > most, f"{name}_{length}gram", shares, f"at most {most:g} of the characters")


def _by_lines(wish: GopherRepetitionPass, texts: Any, verdicts: Verdicts, name: str, separator: str) -> None:
    most, most_characters = (getattr(wish, f"duplicate_{name}{ending}") for ending in ("s", "_characters"))
    if most is None and most_characters is None:
        return
    lines = Lines.of(texts, separator)
    if most is not None:
        shares = lines.share(lines.repeated)
        verdicts.refuse(shares > most, f"duplicate_{name}s", shares, f"at most {most:g} of the {name}s")
    if most_characters is not None:
        shares = lines.share(lines.repeated, lines.characters)
        wanted = f"at most {most_characters:g} of the characters"
        verdicts.refuse(shares > most_characters, f"duplicate_{name}_characters", shares, wanted)
