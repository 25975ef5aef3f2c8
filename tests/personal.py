"""The labelled lines of `unit/personal.txt`: personal data in `{{kind:value}}`, among lines that only look so. Made for these tests; numbers of cards and
identity cards are random ones with a right check digit."""

import re
from pathlib import Path

import pyarrow as pa

from tasks.transforms.cleaning import pii

LABEL = re.compile(r"\{\{(\w+):(.*?)\}\}")
KINDS = ("email", "phone", "ip", "card", "cn_mobile", "cn_id")
Things = set[tuple[int, str, str]]  # line, kind, value


def labelled() -> tuple[list[str], Things]:
    """The lines without their labels, and what is in them."""
    lines = (Path(__file__).parent / "unit" / "personal.txt").read_text(encoding="utf-8").splitlines()
    things = {(row, kind, value) for row, line in enumerate(lines) for kind, value in LABEL.findall(line)}
    return [LABEL.sub(r"\2", line) for line in lines], things


def found(lines: list[str]) -> Things:
    """What is found in the lines."""
    content, things = "".join(lines).encode(), set()
    ends = [0]
    for line in lines:
        ends.append(ends[-1] + len(line.encode()))
    for start, stop, kind in pii.find(pa.array(lines, pa.string()), KINDS):
        row = next(row for row, end in enumerate(ends) if end > start) - 1
        things.add((row, kind, content[start:stop].decode()))
    return things


def scores() -> dict[str, tuple[int, int, int]]:
    """By kind: rightly found, wrongly found, missed."""
    lines, wanted = labelled()
    things = found(lines)
    return {
        kind: tuple(
            len({one for one in some if one[1] == kind}) for some in (things & wanted, things - wanted, wanted - things)
        )
        for kind in KINDS
    }  # pyright: ignore[reportReturnType]
