"""Passes that change values: what each does to messy texts and numbers, and that what is clean stays as it is."""

import unicodedata

import pyarrow as pa
import pytest
from cleaned import changed, messy
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tasks.sections import (
    ClipPass,
    HtmlPass,
    LinesPass,
    LowercasePass,
    MissingPass,
    PiiPass,
    UnicodePass,
    WhitespacePass,
)
from tasks.transforms.cleaning.chain import settle

ALL = (UnicodePass(form="NFKC"), HtmlPass(), WhitespacePass(), LinesPass(min_words=2), PiiPass(), LowercasePass())


def read_as(wrong: str, text: str) -> str:
    """UTF-8 as another encoding shows it; bytes that it does not know as Latin-1 does."""
    return "".join(bytes([byte]).decode(wrong, "ignore") or chr(byte) for byte in text.encode())


def steps(*wishes: object) -> list[dict[str, object]]:
    return [wish.model_dump(mode="json") for wish in wishes]  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    "text",
    [
        "café",
        "“quoted” – and more…",
        "Grüße aus Köln",
        "naïve 😀",
        "中文字符，好",
        "привет мир",
        "price: 5 € ± 2",
        "ﬁn\u00a0de siècle",
        "日本語です",
    ],
)
@pytest.mark.parametrize("wrong", ["cp1252", "latin-1"])
def test_utf8_that_was_read_as_another_encoding_is_read_again(text: str, wrong: str):
    seen = read_as(wrong, text)
    assert changed(UnicodePass(), seen) == [unicodedata.normalize("NFC", text)]
    assert changed(UnicodePass(), read_as(wrong, seen)) == [unicodedata.normalize("NFC", text)]


@pytest.mark.parametrize(
    "text",
    [
        "IRMÃ” said she",
        "un café”—x",
        "MANHÃ – TARDE",
        "Âge d’or",
        "ça et là… ",
        "Ärger, Öl, Übel",
        "À l’été",
        "5 × 3 °C",
        "naïveté»",
        "smörgåsbord",
    ],
)
def test_letters_that_are_meant_stay(text: str):
    assert changed(UnicodePass(form="none"), text) == [text.strip()]


def test_forms_and_controls_are_what_unicode_has_them_to_be():
    assert changed(UnicodePass(), "e\u0301", "ﬁ ①") == ["é", "ﬁ ①"]
    assert changed(UnicodePass(form="NFKC"), "ﬁ ①ＡＢ") == ["fi 1AB"]
    assert changed(UnicodePass(), "a\u200bb\ufeffc\x07d\u202ee\u00adf\tg\nh") == ["abcdef\tg\nh"]
    assert changed(UnicodePass(), "می‌خواهم 👩‍👩‍👧") == ["می‌خواهم 👩‍👩‍👧"]  # joiners are part of words and signs
    assert changed(UnicodePass(control=False), "a\u200bb") == ["a\u200bb"]


def test_white_space_is_single_and_lines_stay_or_join():
    text = " a\u00a0 b\t\tc \r\n\r\n\r\n\r\n d\u3000e\u2028f "
    assert changed(WhitespacePass(), text) == ["a b c\n\n d e\nf"]
    assert changed(WhitespacePass(lines="join"), text) == ["a b c d e f"]
    assert changed(WhitespacePass(), " a  b \n", kind="passage") == [" a b\n"]  # a passage's ends are its own


@pytest.mark.parametrize(
    ("page", "seen"),
    [
        ("<p>One</p><p>Two <b>bold</b></p>", "One\n\nTwo bold"),
        ("a<br/>b<BR>c", "a\nb\nc"),
        ("<script>if (a<b) x();</script>seen<style>p {}</style><!-- not -->", "seen"),
        ("<ul><li>one<li>two</ul><table><tr><td>1<td>2</table>", "one\ntwo\n\n 1 2"),
        ("Fish &amp; chips &lt;3 &#8364;5 &eacute;", "Fish & chips <3 €5 é"),
        ("a < b and List<int> and x <y and <-", "a < b and List<int> and x <y and <-"),
        ('<a href="http://x.org?a=1&amp;b=2" title=x>link</a>', "link"),
        ("<!DOCTYPE html><html><head><title>t</title></head><body>b</body></html>", "b"),
    ],
)
def test_html_becomes_what_a_reader_sees(page: str, seen: str):
    lines = [line.strip() for line in (changed(HtmlPass(), page)[0] or "").splitlines()]
    assert [line for line in lines if line] == [line.strip() for line in seen.splitlines() if line]


def test_lines_that_are_no_sentences_leave():
    page = "Home\nAbout us\nThis is a sentence of some words.\nPlease enable JavaScript to see the page now.\nToo short.\nIs that all there is to it?"
    assert changed(LinesPass(), page) == ["This is a sentence of some words.\nIs that all there is to it?"]
    assert changed(LinesPass(ends_in_mark=False, min_words=0, without=("home",)), page)[0] == page.partition("\n")[2]
    assert changed(LinesPass(), "nothing here", None) == [None, None]


def test_numbers_are_clipped_and_gaps_filled():
    numbers = pa.array([-5.0, 0.5, None, 99.0])
    clip = steps(ClipPass(columns=("x",), minimum=0, maximum=10))
    assert settle(clip, "number", numbers)[0].to_pylist() == [0.0, 0.5, None, 10.0]
    fill = steps(MissingPass(columns=("x",), action="constant", value=7))
    assert settle(fill, "number", numbers)[0].to_pylist() == [-5.0, 0.5, 7.0, 99.0]
    whole = settle(steps(ClipPass(columns=("x",), maximum=3)), "integer", pa.array([1, 5, None], pa.int64()))[0]
    assert whole.equals(pa.array([1, 3, None], pa.int64()))


@pytest.mark.parametrize("wrong", [{"columns": ["x"]}, {"columns": ["x"], "minimum": 3, "maximum": 1}])
def test_clip_wants_bounds_that_make_sense(wrong: dict[str, object]):
    with pytest.raises(ValidationError, match="minimum"):
        ClipPass.model_validate(wrong)


def test_a_constant_wants_a_value_and_nothing_else_does():
    for wrong in ({"action": "constant"}, {"action": "drop", "value": 1.0}):
        with pytest.raises(ValidationError, match="wanted a value with constant only"):
            MissingPass.model_validate(wrong)


@pytest.mark.parametrize("wish", ALL, ids=lambda wish: wish.kind)
@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.text(), st.text("<>/&;abp lt=\"'ÃÂ©â€™\u00a0\n\r\t1@.-+()"), st.none()), max_size=5))
@example(["&amp;amp;amp;lt;b&gt;x", "ÃƒÂ©", "< <b>b>", None])
def test_what_a_pass_has_cleaned_it_leaves_as_it_is(wish: object, texts: list[str | None]):
    once, rules = settle(steps(wish), "text", pa.array(texts, pa.string()))
    again, _ = settle(steps(wish), "text", once)
    assert all(rules.get(row) == "unsettled" or again[row] == once[row] for row in range(len(texts)))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text("<>/&;abp lt=\"'ÃÂ©â€™\u00a0\n\r\t1@.-+()AZ"), max_size=4), st.permutations(ALL))
def test_what_any_order_of_passes_has_cleaned_it_leaves_as_it_is(texts: list[str], order: list[object]):
    once, rules = settle(steps(*order), "text", pa.array(texts, pa.string()))
    again, _ = settle(steps(*order), "text", once)
    assert all(rules.get(row) == "unsettled" or again[row] == once[row] for row in range(len(texts)))


def test_a_text_is_cleaned_alike_alone_and_among_others():
    texts = [messy(number) for number in range(20)]
    together = settle(steps(*ALL), "text", pa.array(texts))[0].to_pylist()
    assert [settle(steps(*ALL), "text", pa.array([text]))[0].to_pylist()[0] for text in texts] == together


def test_what_goes_on_changing_is_said_to():
    endless = "&" + "amp;" * 12 + "lt;b>"
    assert settle(steps(HtmlPass()), "text", pa.array(["fine", endless]))[1] == {1: "unsettled"}


def test_the_order_of_passes_counts():
    escaped = "bob&#64;example.com"
    assert changed(PiiPass(), escaped) == [escaped]
    masked_last = settle(steps(PiiPass(), HtmlPass()), "text", pa.array([escaped]))[0].to_pylist()
    assert masked_last == ["<EMAIL>"]  # all passes once more, as the first round has changed it
    upper = settle(steps(LowercasePass(), PiiPass()), "text", pa.array(["A@B.ORG"]))[0].to_pylist()
    assert upper == ["<email>"]  # and so is the placeholder, in the second round
