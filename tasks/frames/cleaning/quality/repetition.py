"""Gopher's repetition rules (Rae et al. 2021, table A1)."""

from typing import Any

import numpy as np

from tasks.frames.cleaning.quality.lines import Lines
from tasks.frames.cleaning.quality.ngrams import few_repeats, repeated_share, top_share, word_hashes
from tasks.frames.cleaning.quality.words import Words, blocks
from tasks.frames.cleaning.verdicts import Verdicts
from tasks.sections import GopherRepetitionPass


def by_repetition(wish: GopherRepetitionPass, texts: Any, verdicts: Verdicts) -> None:
    """Rules duplicate_lines, duplicate_paragraphs, duplicate_line_characters, …, top_2gram to top_4gram, duplicate_5gram to duplicate_10gram."""
    for name, separator in (("line", "\n"), ("paragraph", "\n\n")):
        _by_lines(wish, texts, verdicts, name, separator)
    bounds = {f"top_{n}gram": most for n, most in enumerate(wish.top_ngrams, 2)}
    bounds |= {f"duplicate_{n}gram": most for n, most in enumerate(wish.duplicate_ngrams, 5)}
    found = {rule: [np.zeros(0)] for rule in bounds}
    for block in blocks(texts) if bounds else ():
        for rule, shares in _of_block(wish, block).items():
            found[rule].append(shares)
    for rule, most in bounds.items():
        shares = np.concatenate(found[rule])
        verdicts.refuse(shares > most, rule, shares, f"at most {most:g} of the characters")


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


def _of_block(wish: GopherRepetitionPass, words: Words) -> dict[str, np.ndarray]:
    """(N,) shares by rule; of texts that are surely below all bounds of repeated runs, 0."""
    hashes = word_hashes(words)
    shares = {f"top_{n}gram": top_share(words, hashes, n) for n, _ in enumerate(wish.top_ngrams, 2)}
    if not wish.duplicate_ngrams:
        return shares
    doubtful = ~few_repeats(words, hashes, 5, min(wish.duplicate_ngrams))
    for n, _ in enumerate(wish.duplicate_ngrams, 5):
        some = doubtful.any()
        shares[f"duplicate_{n}gram"] = repeated_share(words, hashes, n, doubtful) if some else np.zeros(len(doubtful))
    return shares
