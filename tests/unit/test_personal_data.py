"""Personal data in texts: what is found, what is not, and what stands there instead."""

import pyarrow as pa
import pytest
from personal import KINDS, found, labelled, scores

from tasks.transforms.cleaning import digits, pii

MASK = {"kind": "pii", "find": KINDS, "placeholders": {}}
# By kind (precision, recall) on the labelled lines: 1.0 where a checksum or an @ tells. A version in four parts may be an address, and a
# national telephone number may be anything with a 0 in front.
BOUNDS = {
    "email": (1.0, 1.0),
    "ip": (0.95, 1.0),
    "card": (1.0, 1.0),
    "cn_id": (1.0, 1.0),
    "cn_mobile": (0.95, 0.95),
    "phone": (0.95, 0.95),
}


def masked(*texts: str | None) -> list[str | None]:
    return pii.masked(pa.array(texts, pa.string()), MASK).to_pylist()


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_labelled_is_found_and_little_else(kind: str):
    right, wrong, missed = scores()[kind]
    precision, recall = right / (right + wrong), right / (right + missed)
    print(f"{kind}: precision {precision:.3f}, recall {recall:.3f} of {right + missed}")  # noqa: T201
    assert right + missed >= 12
    assert (precision, recall) >= BOUNDS[kind]
    assert recall >= BOUNDS[kind][1]


def test_what_is_masked_is_not_found_again():
    lines, _ = labelled()
    once = masked(*lines)
    assert masked(*once) == once
    assert not found([line or "" for line in once])


def test_a_text_is_masked_alike_alone_and_among_others():
    lines, _ = labelled()
    assert [masked(line)[0] for line in lines] == masked(*lines)


def test_placeholders_stand_where_it_stood_and_may_be_ones_own():
    assert masked("Mail bob@example.com, or 555-234-5678.", None, "") == ["Mail <EMAIL>, or <PHONE>.", None, ""]
    step = {**MASK, "placeholders": {"email": "[address]"}}
    assert pii.masked(pa.array(["to bob@example.com"]), step).to_pylist() == ["to [address]"]


def test_only_the_kinds_asked_for_are_looked_for():
    step = {**MASK, "find": ("card",)}
    text = "bob@example.com paid with 4111 1111 1111 1111"
    assert pii.masked(pa.array([text]), step).to_pylist() == ["bob@example.com paid with <CARD>"]


def test_numbers_do_not_run_from_one_text_into_the_next():
    assert masked("room 13", "812345678 is no number") == ["room 13", "812345678 is no number"]
    assert masked("1", "13812345678", "2") == ["1", "<CN_MOBILE>", "2"]


def test_texts_that_are_part_of_a_larger_array_keep_their_places():
    texts = pa.array(["a@b.org", "x", "see c@d.org now", "e@f.org"]).slice(1, 2)
    assert pii.masked(texts, MASK).to_pylist() == ["x", "see <EMAIL> now"]
    assert [rows.tolist() for rows in [pii.rows_with(texts, KINDS)[0]]] == [[1]]


def test_check_digits_are_as_the_standards_have_them():
    assert digits.luhn(b"79927398713")  # ISO/IEC 7812-1's own example, as widely given
    assert not digits.luhn(b"79927398710")
    assert digits.is_cn_id(b"11010519491231002X")  # GB 11643-1999's own example
    assert not digits.is_cn_id(b"110105194912310029")
