"""Where records lie: found by counting quotation marks, as reading line by line finds them."""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.frames import records as by_line
from tasks.frames import spans as by_block
from tasks.frames.spans import csv_cut, line_cut, marks, spans

PARTS = ['"', '""', ",", "\n", "\r\n", "\r", "a", " ", '"x"', '"a\nb"', '","', "é", ",,"]
texts = st.lists(st.sampled_from(PARTS), max_size=40).map(lambda parts: "".join(parts).encode())


def found(content: bytes, quoting: bool = True) -> list[tuple[int, int, bool]]:
    blocks = spans(io.BytesIO(content), csv_cut(",", quoting))
    return [one for block in blocks for one in zip(*(part.tolist() for part in block[:3]), strict=True)]


def expected(content: bytes, quoting: bool = True) -> list[tuple[int, int, bool]]:
    return [record[:3] for record in by_line.records(io.BytesIO(content), ",", quoting)]


@settings(max_examples=600, deadline=None)
@given(texts, st.integers(1, 9), st.sampled_from([4, 12, 1 << 20]), st.booleans())
def test_records_are_those_that_reading_line_by_line_finds(content: bytes, block: int, longest: int, quoting: bool):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(by_block, "BLOCK", block)
        for module in (by_line, by_block):
            patch.setattr(module, "LONGEST", longest)
        assert found(content, quoting) == expected(content, quoting)


def test_records_of_many_blocks_with_quoted_line_breaks_are_found(monkeypatch: pytest.MonkeyPatch):
    content = b"".join(b'%d,"line\nbreak, and ""quote""",%s\n' % (i, b"x" * (i % 50)) for i in range(2000))
    monkeypatch.setattr(by_block, "BLOCK", 1000)
    assert found(content) == expected(content)
    assert len(found(content)) == 2000


def test_one_odd_line_leaves_the_other_blocks_to_counting(monkeypatch: pytest.MonkeyPatch):
    looked_at = []
    monkeypatch.setattr(by_block, "BLOCK", 1000)
    monkeypatch.setattr(
        by_block, "records", lambda *given, **more: looked_at.append(1) or by_line.records(*given, **more)
    )
    content = b'1,"two"\n' * 1000 + b'2,5" disk\n' + b'1,"two"\n' * 1000
    assert found(content) == expected(content)
    assert len(looked_at) == 1


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from(["\n", " ", "\r\n", "{}", '{"a": 1}', "\t", "x"])), st.integers(1, 9), st.integers(1, 4)
)
def test_lines_with_something_in_them_are_rows(parts: list[str], block: int, shard_rows: int):
    content = "".join(parts).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(by_block, "BLOCK", block)
        cut = [content[m.offset : m.offset + m.length] for m in marks(spans(io.BytesIO(content), line_cut), shard_rows)]
    rows = [line for line in content.split(b"\n") if line.strip()]
    assert [line for part in cut for line in part.split(b"\n") if line.strip()] == rows
    assert len(cut) == -(-len(rows) // shard_rows)
