"""Gopher's quality rules (Rae et al. 2021, appendix A.1.1)."""

import re
from typing import Any

import numpy as np

from tasks.frames.arrow import pc
from tasks.frames.cleaning.quality.lines import Lines, true
from tasks.frames.cleaning.quality.words import blocks, share
from tasks.frames.cleaning.verdicts import Verdicts
from tasks.sections import GopherPass

BULLET = "^[•‣▪●◦⁃*-]"


def by_gopher(wish: GopherPass, texts: Any, verdicts: Verdicts) -> None:
    """Rules word_count, mean_word_length, symbol_ratio, bullet_lines, ellipsis_lines, alphabetic_words, stop_words."""
    words, mean, alphabetic, symbols = _of_words(texts)
    if wish.min_words is not None:
        verdicts.refuse(words < wish.min_words, "word_count", words, f"at least {wish.min_words:,} words")
    if wish.max_words is not None:
        verdicts.refuse(words > wish.max_words, "word_count", words, f"at most {wish.max_words:,} words")
    if wish.min_mean_word is not None:
        wanted = f"a mean word of at least {wish.min_mean_word:g} characters"
        verdicts.refuse(mean < wish.min_mean_word, "mean_word_length", mean, wanted)
    if wish.max_mean_word is not None:
        wanted = f"a mean word of at most {wish.max_mean_word:g} characters"
        verdicts.refuse(mean > wish.max_mean_word, "mean_word_length", mean, wanted)
    if wish.max_symbols is not None:
        ratio = symbols / np.maximum(words, 1)
        verdicts.refuse(ratio > wish.max_symbols, "symbol_ratio", ratio, f"at most {wish.max_symbols:g} a word")
    _by_lines(wish, texts, verdicts)
    if wish.min_alphabetic is not None:
        wanted = f"at least {wish.min_alphabetic:g} of the words with a letter"
        verdicts.refuse(alphabetic < wish.min_alphabetic, "alphabetic_words", alphabetic, wanted)
    if wish.min_stop_words is not None:
        stops = _stop_words(wish.stop_words, texts)
        verdicts.refuse(stops < wish.min_stop_words, "stop_words", stops, f"at least {wish.min_stop_words} stop words")


def _of_words(texts: Any) -> list[np.ndarray]:
    """(N,) words, mean characters of a word, share of the words with a letter, and the greater of hashes and ellipses."""
    found = [(np.zeros(0, np.int64), *np.zeros((3, 0)))]
    for block in blocks(texts):
        counts = block.counts
        mean, alphabetic = (share(block.of_texts(values), counts) for values in (block.lengths, block.has_letter))
        hashes = block.count(np.flatnonzero(block.buffer == ord("#")))
        found.append((counts, mean, alphabetic, np.maximum(hashes, block.count(_ellipses(block.buffer)))))
    return [np.concatenate(parts) for parts in zip(*found, strict=True)]


def _ellipses(buffer: np.ndarray) -> np.ndarray:
    """Where three dots, or the one character …, stand; of more dots each third."""
    dots = buffer == ord(".")
    triples = np.flatnonzero(dots[:-2] & dots[1:-1] & dots[2:])
    first = np.flatnonzero(np.diff(triples, prepend=-2) > 1)
    within = np.arange(len(triples)) - np.repeat(first, np.diff(np.append(first, len(triples))))
    signs = np.flatnonzero((buffer[:-2] == 0xE2) & (buffer[1:-1] == 0x80) & (buffer[2:] == 0xA6))
    return np.sort(np.concatenate([triples[within % 3 == 0], signs]))


def _by_lines(wish: GopherPass, texts: Any, verdicts: Verdicts) -> None:
    if wish.max_bullet_lines is None and wish.max_ellipsis_lines is None:
        return
    lines = Lines.of(texts)
    if wish.max_bullet_lines is not None:
        bullets = lines.share(true(pc.match_substring_regex(lines.lines, BULLET)))
        verdicts.refuse(
            bullets > wish.max_bullet_lines, "bullet_lines", bullets, f"at most {wish.max_bullet_lines:g} of the lines"
        )
    if wish.max_ellipsis_lines is not None:
        ending = true(pc.ends_with(lines.lines, "...")) | true(pc.ends_with(lines.lines, "…"))
        open_ended = lines.share(ending)
        wanted = f"at most {wish.max_ellipsis_lines:g} of the lines"
        verdicts.refuse(open_ended > wish.max_ellipsis_lines, "ellipsis_lines", open_ended, wanted)


def _stop_words(stop_words: tuple[str, ...], texts: Any) -> np.ndarray:
    """(N,) different stop words, case aside. A search ends at the first one, so that prose costs next to nothing."""
    patterns = [f"(?i)\\b{re.escape(word)}\\b" for word in stop_words]
    return sum(
        (true(pc.match_substring_regex(texts, pattern)).astype(int) for pattern in patterns), np.zeros(len(texts), int)
    )
