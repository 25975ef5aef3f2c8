"""Runs of words that come again, by their hashes: W words of a block, N texts.

A word's hash is a polynomial of its bytes modulo 2^64 (Karp and Rabin 1987), taken from the sums over the block before it; a run's is
one of its words' hashes. Texts and 44 bits of it make a key: in a text of 10,000 words two different runs share one once in 350,000 texts.
"""

from functools import lru_cache

import numpy as np

from tasks.frames.cleaning.quality.words import Words

BASE = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2^64
MIX = np.uint64(0xBF58476D1CE4E5B9)  # splitmix64 (Steele et al. 2014)
HASH_BITS = np.uint64(44)


def word_hashes(words: Words) -> np.ndarray:
    """(W,) uint64; the same word has the same one in any block."""
    begins, ends = words.spans
    powers, inverses = _powers(1 << max(18, len(words.buffer).bit_length()))
    sums = np.zeros(len(words.buffer) + 1, np.uint64)
    np.cumsum(words.buffer * powers[: len(words.buffer)], out=sums[1:])
    return _mixed((sums[ends] - sums[begins]) * inverses[begins])


def run_keys(words: Words, hashes: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """(R,) where each run of `length` words within one text begins, and its key: the text's number above the hash."""
    runs = len(hashes) - length + 1
    if runs < 1:
        return np.zeros(0, np.intp), np.zeros(0, np.uint64)
    sums = hashes[:runs].copy()
    for place in range(1, length):
        sums *= MIX
        sums += hashes[place : place + runs]
    whole = words.texts[:runs] == words.texts[length - 1 :]
    begins = np.flatnonzero(whole)
    texts = words.texts[begins].astype(np.uint64)
    return begins, (texts << HASH_BITS) | (_mixed(sums[begins]) >> np.uint64(20))


def top_share(words: Words, hashes: np.ndarray, length: int) -> np.ndarray:
    """(N,) share of the characters in the run of `length` words that comes most often, where one comes more than once."""
    begins, keys = run_keys(words, hashes, length)
    shares = np.zeros(len(words.counts))
    if not len(keys):
        return shares
    ordered = np.sort(keys)
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    times, found = np.diff(np.append(starts, len(ordered))), ordered[starts]
    texts = (found >> HASH_BITS).astype(np.intp)
    top = np.zeros(len(shares), np.int64)
    np.maximum.at(top, texts[times > 1], times[times > 1])
    best = np.flatnonzero((times == top[texts]) & (times > 1))
    chosen = np.zeros(len(shares), np.uint64)
    chosen[texts[best][::-1]] = found[best][::-1]  # of several the first
    places = begins[keys == chosen[words.texts[begins]]]
    sums = np.concatenate([[0], np.cumsum(words.lengths)])
    characters = np.zeros(len(shares), np.int64)
    characters[words.texts[places]] = sums[places + length] - sums[places]
    return np.minimum(top * characters / np.maximum(words.of_texts(words.lengths), 1), 1.0)


def few_repeats(words: Words, hashes: np.ndarray, length: int, least_share: float) -> np.ndarray:
    """(N,) texts in which runs of `length` words that come again surely hold less than `least_share` of the characters.

    Then longer ones do so, too: each word of a longer run that came before is in a shorter one that did.
    """
    _, keys = run_keys(words, hashes, length)
    ordered = np.sort(keys)
    again = ordered[1:][ordered[1:] == ordered[:-1]]
    times = np.bincount((again >> HASH_BITS).astype(np.intp), minlength=len(words.counts))
    longest = np.zeros(len(words.counts), np.int64)
    some = words.counts > 0
    longest[some] = np.maximum.reduceat(words.lengths, words.bounds[:-1][some]) if some.any() else 0
    return times * length * longest <= least_share * words.of_texts(words.lengths)


def repeated_share(words: Words, hashes: np.ndarray, length: int, wanted: np.ndarray) -> np.ndarray:
    """(N,) share of the characters that lie in runs of `length` words that came before in the text, each counted once; of `wanted` texts."""
    begins, keys = run_keys(words, hashes, length)
    some = wanted[words.texts[begins]]
    begins, keys = begins[some], keys[some]
    order = np.argsort(keys, kind="stable")
    again = begins[order[1:][keys[order[1:]] == keys[order[:-1]]]] if len(order) else begins
    steps = np.bincount(again, minlength=len(hashes) + 1) - np.bincount(again + length, minlength=len(hashes) + 1)
    covered = np.cumsum(steps)[: len(hashes)] > 0
    return words.of_texts(covered * words.lengths) / np.maximum(words.of_texts(words.lengths), 1)


def _mixed(values: np.ndarray) -> np.ndarray:
    values = values ^ (values >> np.uint64(31))
    return (values * MIX) ^ (values >> np.uint64(29))


@lru_cache(maxsize=2)
def _powers(count: int) -> tuple[np.ndarray, np.ndarray]:
    """(count,) the powers of BASE, and those of its inverse."""
    one = np.ones(1, np.uint64)
    bases = (BASE, pow(BASE, -1, 1 << 64))
    steps = (np.concatenate([one, np.full(count - 1, base, np.uint64)]) for base in bases)
    powers, inverses = (np.cumprod(step) for step in steps)
    return powers, inverses
