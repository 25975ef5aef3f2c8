"""Runs of words that come again, by their hashes: W words of N texts.

A run's key holds its hash above its place, so that one sort brings equal runs together in the order of their places. A text's number is in
the hash. With at most 2^17 words in a block, 47 bits are left of it: two different runs of a text of 10,000 words are taken for one in one of
3 million texts.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tasks.frames.cleaning.quality.words import Words

MIX = np.uint64(0xBF58476D1CE4E5B9)  # splitmix64 (Steele et al. 2014)
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
PLACE_BITS = 17
HASHED_BYTES = 256  # of a longer word, which is none, the first and its length
_ONES = np.array([(1 << 8 * count) - 1 for count in range(9)], np.uint64)


@dataclass(frozen=True)
class Hashed:
    """Of each word its hash, its characters and its text; `count`: N."""

    hashes: np.ndarray
    lengths: np.ndarray
    texts: np.ndarray
    count: int

    @classmethod
    def of(cls, words: Words) -> "Hashed":
        """All words of a block."""
        return cls(word_hashes(words), words.lengths, words.texts, len(words.counts))

    def only(self, wanted: np.ndarray) -> "Hashed":
        """The words of the `wanted` (N,) texts."""
        some = wanted[self.texts]
        return Hashed(self.hashes[some], self.lengths[some], self.texts[some], self.count)

    @cached_property
    def sums(self) -> np.ndarray:
        """(W + 1,) characters before each word."""
        return np.concatenate([[0], np.cumsum(self.lengths)])

    @cached_property
    def characters(self) -> np.ndarray:
        """(N,)"""
        return np.maximum(np.bincount(self.texts, self.lengths, self.count), 1)

    def longest(self, length: int) -> np.ndarray:
        """(N,) most characters of a run of `length` words; of a text that has none, 0."""
        count = max(len(self.texts) - length + 1, 0)
        begins = np.flatnonzero(self.texts[:count] == self.texts[length - 1 :][:count])
        found = np.zeros(self.count, np.int64)
        if len(begins):
            first = np.flatnonzero(np.diff(self.texts[begins], prepend=-1))
            sizes = self.sums[begins + length] - self.sums[begins]
            found[self.texts[begins[first]]] = np.maximum.reduceat(sizes, first)
        return found

    def repeats(self, length: int) -> "Repeats":
        """The runs of `length` words that come more than once in their text."""
        count = max(len(self.hashes) - length + 1, 0)
        keys = self.hashes[:count].copy()
        for place in range(1, length):
            keys *= MIX
            keys += self.hashes[place : place + count]
        begins = np.flatnonzero(self.texts[:count] == self.texts[length - 1 :][:count])
        bits = np.uint64(max(PLACE_BITS, len(self.hashes).bit_length()))
        keys = _mixed(keys[begins] + self.texts[begins].astype(np.uint64) * GOLDEN)
        ordered = np.sort((keys >> bits << bits) | begins.astype(np.uint64))
        same = np.flatnonzero((ordered[1:] ^ ordered[:-1]) >> bits == 0)
        places = (ordered & ((np.uint64(1) << bits) - np.uint64(1))).astype(np.intp)
        return Repeats(same, places)


@dataclass(frozen=True)
class Repeats:
    """`places`: where all runs begin, equal ones together and in order; `same`: those among them that the next one equals."""

    same: np.ndarray
    places: np.ndarray

    @property
    def later(self) -> np.ndarray:
        """Where runs begin that came before."""
        return self.places[self.same + 1]

    def groups(self) -> tuple[np.ndarray, np.ndarray]:
        """Where each run that comes again begins first, and how often it comes."""
        first = np.flatnonzero(np.diff(self.same, prepend=-2) > 1)
        return self.places[self.same[first]], np.diff(np.append(first, len(self.same))) + 1


def word_hashes(words: Words) -> np.ndarray:
    """(W,) uint64, eight bytes at a time; the same word has the same one in any block."""
    begins, ends = words.spans
    padded = np.zeros(len(words.buffer) // 8 * 8 + 24, np.uint8)
    padded[: len(words.buffer)] = words.buffer
    eights, left = padded.view("<u8"), ends - begins
    hashes = _mixed((_eight_bytes(eights, begins) & _ONES[np.minimum(left, 8)]) + left.astype(np.uint64) * GOLDEN)
    rest = np.flatnonzero(left > 8)
    for at in range(8, HASHED_BYTES, 8):
        if not len(rest):
            break
        part = _eight_bytes(eights, begins[rest] + at) & _ONES[np.minimum(left[rest] - at, 8)]
        hashes[rest] = _mixed(hashes[rest] * MIX + part)
        rest = rest[left[rest] > at + 8]
    return hashes


def _eight_bytes(eights: np.ndarray, at: np.ndarray) -> np.ndarray:
    """The eight bytes that begin at any byte, from the two whole ones that they lie in."""
    bits = (at & 7).astype(np.uint64) << np.uint64(3)
    whole = at >> 3
    return (eights[whole] >> bits) | (eights[whole + 1] << np.uint64(1) << (np.uint64(63) - bits))


def top_shares(hashed: Hashed, bounds: dict[int, float]) -> dict[int, np.ndarray]:
    """By length of a run the (N,) share of the characters in the one that comes most often, where one comes more than once.

    0 for texts that are surely within a bound: a longer run comes no more often than the shorter ones in it.
    """
    shares, most = {}, np.zeros(0, np.int64)
    for length, bound in sorted(bounds.items()):
        if shares:
            hashed = hashed.only(most * hashed.longest(length) > bound * hashed.characters)
        most, shares[length] = _top(hashed, length)
    return shares


def repeated_shares(hashed: Hashed, bounds: dict[int, float]) -> dict[int, np.ndarray]:
    """By length of a run the (N,) share of the characters that lie in runs that came before in the text, each counted once.

    0 for texts that are surely within all later bounds: each word of a longer run that came before is in a shorter one that did.
    """
    shares = {}
    for length in sorted(bounds):
        shares[length] = _repeated(hashed, length)
        hashed = hashed.only(shares[length] > min(bounds.values()))
    return shares


def _top(hashed: Hashed, length: int) -> tuple[np.ndarray, np.ndarray]:
    """(N,) how often the most frequent run comes, 0 where none comes again; and its share of the characters, of several the longest's."""
    places, times = hashed.repeats(length).groups()
    texts = hashed.texts[places]
    most, characters = np.zeros((2, hashed.count), np.int64)
    np.maximum.at(most, texts, times)
    best = times == most[texts]
    np.maximum.at(characters, texts[best], hashed.sums[places[best] + length] - hashed.sums[places[best]])
    return most, np.minimum(most * characters / hashed.characters, 1.0)


def _repeated(hashed: Hashed, length: int) -> np.ndarray:
    later, size = hashed.repeats(length).later, len(hashed.hashes) + 1
    if not len(later):
        return np.zeros(hashed.count)
    covered = np.cumsum(np.bincount(later, minlength=size) - np.bincount(later + length, minlength=size))[:-1] > 0
    return np.bincount(hashed.texts, covered * hashed.lengths, hashed.count) / hashed.characters


def _mixed(values: np.ndarray) -> np.ndarray:
    values = (values ^ (values >> np.uint64(31))) * MIX
    return values ^ (values >> np.uint64(29))
