"""Numbers that are somebody's, in a buffer of texts: cards, Chinese identity and mobile numbers, telephones."""

import re
from collections.abc import Callable, Sequence
from datetime import date
from typing import NamedTuple

import numpy as np

from tasks.transforms.cleaning.runs import runs_of, windows

GAP = 3  # most bytes between two runs of digits of one number: `) `, ` - `
LEAST = 7  # digits of the shortest number that is looked for
BEFORE = 24
_JOINER = np.zeros(256, bool)
_JOINER[list(b" ()-./+")] = True
_EDGE = rb"(?<![0-9A-Za-z.,_/\-])"
_END = rb"(?![0-9A-Za-z_]|[.,\-/][0-9])"
_SEP = rb"[ .\-]?"


class Kind(NamedTuple):
    """`group`: what of the match is masked; `is_valid`: whether its digits may be such a number."""

    pattern: re.Pattern[bytes]
    is_valid: Callable[[bytes], bool]
    group: int = 0


def luhn(number: bytes) -> bool:
    """ISO/IEC 7812-1, annex B: whether the last digit is the check digit of the others."""
    places = [int(digit) for digit in number.decode()][::-1]
    return (sum(places[::2]) + sum(sum(divmod(2 * digit, 10)) for digit in places[1::2])) % 10 == 0


def is_card(text: bytes) -> bool:
    """By issuer's prefix and length (ISO/IEC 7812; Visa, Mastercard, American Express, Discover, JCB, Diners, UnionPay), and check digit."""
    number = re.sub(rb"\D", b"", text)
    return bool(ISSUERS.fullmatch(number)) and len(set(number)) > 1 and luhn(number)


ISSUERS = re.compile(
    rb"4\d{15}|4\d{18}|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}|3[47]\d{13}|(?:6011|65\d\d|64[4-9]\d)\d{12}|"
    rb"35(?:2[89]|[3-8]\d)\d{12}|3(?:0[0-5]|[68]\d)\d{11}|62\d{14,17}"
)
WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


def is_cn_id(text: bytes) -> bool:
    """GB 11643-1999: a date of birth, and ISO 7064 MOD 11-2 over the first seventeen digits."""
    try:
        born = date(int(text[6:10]), int(text[10:12]), int(text[12:14]))
    except ValueError:
        return False
    total = sum(weight * int(digit) for weight, digit in zip(WEIGHTS, text[:17].decode(), strict=True))
    return 1880 <= born.year <= 2100 and b"10X98765432"[total % 11 : total % 11 + 1] == text[17:].upper()


def is_phone(text: bytes) -> bool:
    """ITU-T E.164: at most fifteen digits; seven at least."""
    return LEAST <= sum(48 <= byte < 58 for byte in text) <= 15


def always(text: bytes) -> bool:
    """Where the pattern says it all."""
    return True


# North American Numbering Plan: neither part begins with 0 or 1
NANP = rb"(?:\+?1[ .\-]?)?(?:\([2-9]\d\d\) ?|[2-9]\d\d[ .\-])[2-9]\d\d[ .\-]\d{4}"
INTERNATIONAL = rb"\+[1-9]\d{0,2}(?:[ .\-]?\(0?\d{1,4}\))?(?:[ .\-/]?\d{1,5}){2,6}"
# A leading 0 and groups parted the same way: 020 7946 0958, 01 23 45 67 89, 030/1234567, 010-62345678
NATIONAL = (
    rb"(?<!\d )(?:\(0\d{1,4}\) ?\d{3,4}[ \-]?\d{3,4}|0\d{2,4} \d{3,4} \d{3,4}|0[1-9](?:[ .]\d\d){4}|0\d{2,4}[/\-]\d{6,8}|"
    rb"0\d{4} \d{6})(?! \d)"
)
SAID = (
    rb"(?i:tel|phone|telephone|call|fax|mobile|cell|ph|whatsapp|\xe7\x94\xb5\xe8\xaf\x9d|\xe6\x89\x8b\xe6\x9c\xba)"
    rb"(?:[ .:#(\xef\xbc\x9a]| no| number| us| at| me| is| on){0,6}?((?:\+|00)?(?:\(\d{1,5}\)|\d)(?:[ .\-/()]{0,2}\d){6,14})"
)
KINDS: dict[str, Kind] = {  # the surer ones first: what is taken by one is not looked at by the next
    "cn_id": Kind(re.compile(_EDGE + rb"[1-9]\d{16}[0-9Xx]" + _END), is_cn_id),
    "card": Kind(re.compile(_EDGE + rb"\d(?:[ \-]?\d){12,18}" + _END), is_card),
    "cn_mobile": Kind(
        re.compile(_EDGE + rb"(?:(?:\+|00)86[ \-]?|(?<!\+))1[3-9]\d(?:\d{8}|([ \-])\d{4}\1\d{4})" + _END), always
    ),
    "phone": Kind(
        re.compile(rb"(?:%s(?:%s|%s|%s)|(?<![A-Za-z])%s)%s" % (_EDGE, INTERNATIONAL, NANP, NATIONAL, SAID, _END)),
        is_phone,
        1,
    ),
}


def numbers(buffer: np.ndarray, offsets: np.ndarray, kinds: Sequence[str]) -> list[tuple[int, int, str]]:
    """Where a number of `kinds` stands, in the order of KINDS where two may."""
    starts, stops = _clusters(buffer, offsets)
    found = []
    for window in windows(buffer, offsets, starts, stops, BEFORE, 2):
        text = window.text
        for kind in kinds:
            rule = KINDS[kind]
            for match in rule.pattern.finditer(text):
                group = rule.group if rule.group and match.group(rule.group) is not None else 0
                if match.end(group) > window.head and rule.is_valid(match.group(group)):
                    found.append(window.place(match, kind, group))
                    text = text[: match.start()] + b"\0" * len(match.group()) + text[match.end() :]
    return found


def _clusters(buffer: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Runs of digits that stand so near that they may be one number, and are enough for one."""
    starts, stops = runs_of((buffer - np.uint8(48)) < 10, offsets)
    if not len(starts):
        return starts, stops
    gaps = starts[1:] - stops[:-1]
    texts = np.searchsorted(offsets, starts, "right")
    joined = (texts[1:] == texts[:-1]) & (gaps <= GAP) & _JOINER[buffer[stops[:-1]]] & _JOINER[buffer[starts[1:] - 1]]
    first = np.concatenate([[True], ~joined])
    heads = np.flatnonzero(first)
    last = np.concatenate([heads[1:] - 1, [len(starts) - 1]])
    digits = np.add.reduceat(stops - starts, heads)
    enough = digits >= LEAST
    return starts[heads][enough], stops[last][enough]
