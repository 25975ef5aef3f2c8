"""Personal data in texts: found by pattern and checksum, and masked.

Texts are one buffer of bytes. What cannot be any of it is passed over with NumPy; a look with regular expressions is taken only around an
`@`, and at runs of digits.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from tasks.transforms.cleaning import addresses, digits
from tasks.transforms.cleaning.arrow import pc

Found = tuple[int, int, str]  # bytes from, to, and what it is
PART_BYTES = 1 << 18
BY_DIGITS = frozenset(digits.KINDS)


def masked(texts: Any, step: Mapping[str, Any]) -> Any:
    """Each text with a placeholder for each thing of the kinds `find`; `<EMAIL>` and so on where `placeholders` has none."""
    texts = _flat(texts)
    found = find(texts, step["find"])
    if not found:
        return texts
    offsets, buffer = _offsets(texts), memoryview(texts.buffers()[2] or b"")
    shown = {kind: step["placeholders"].get(kind, f"<{kind.upper()}>").encode() for kind in step["find"]}
    parts, lengths, at = [], np.diff(offsets).astype(np.int64), int(offsets[0])
    for start, stop, kind in found:
        parts += [buffer[at:start], shown[kind]]
        at = stop
        lengths[np.searchsorted(offsets, start, "right") - 1] += len(shown[kind]) - (stop - start)
    parts.append(buffer[at : int(offsets[-1])])
    ends = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    made = pa.StringArray.from_buffers(len(texts), pa.py_buffer(ends), pa.py_buffer(b"".join(parts)))
    return pc.if_else(pc.is_null(texts), pa.scalar(None, pa.string()), made) if texts.null_count else made


def rows_with(texts: Any, kinds: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """The texts that hold any of `kinds`, by their numbers in order, and the kind that comes first in each."""
    texts = _flat(texts)
    found = find(texts, kinds)
    rows = np.searchsorted(_offsets(texts), [start for start, _, _ in found], "right") - 1
    first, places = np.unique(rows, return_index=True)
    return first, [found[place][2] for place in places]


def find(texts: Any, kinds: Sequence[str]) -> list[Found]:
    """All that is found, in order, none within another."""
    offsets = _offsets(texts)
    if offsets[-1] == offsets[0]:
        return []
    buffer, found = np.frombuffer(texts.buffers()[2], np.uint8), list[Found]()
    for first, last in _parts(offsets):
        begin, within = int(offsets[first]), offsets[first : last + 1] - offsets[first]
        some = _find(buffer[begin : offsets[last]], within, kinds) if within[-1] else ()
        found += [(begin + start, begin + stop, kind) for start, stop, kind in some]
    return found


def _parts(offsets: np.ndarray) -> Iterator[tuple[int, int]]:
    """Texts from one number to another that fit a processor's cache together, or one that does not."""
    first, count = 0, len(offsets) - 1
    while first < count:
        last = max(first + 1, int(np.searchsorted(offsets, offsets[first] + PART_BYTES, "right")) - 1)
        yield first, last
        first = last


def _find(buffer: np.ndarray, offsets: np.ndarray, kinds: Sequence[str]) -> list[Found]:
    found: list[Found] = []
    if "email" in kinds:
        found += addresses.emails(buffer, offsets)
    if "ip" in kinds:
        found += addresses.ips(buffer, offsets)
    if BY_DIGITS & set(kinds):
        found += digits.numbers(buffer, offsets, [kind for kind in digits.KINDS if kind in kinds])
    return _apart(sorted(found))


def _apart(found: list[Found]) -> list[Found]:
    """Without what overlaps something before it."""
    kept: list[Found] = []
    for one in found:
        if not kept or one[0] >= kept[-1][1]:
            kept.append(one)
    return kept


def _flat(texts: Any) -> Any:
    """One array; what is null has no bytes, so that nothing is found in it."""
    array = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    return pa.concat_arrays([array]) if not array.null_count else pc.if_else(pc.is_valid(array), array, None)


def _offsets(texts: Any) -> np.ndarray:
    """(N + 1,) where each text begins and ends."""
    if not len(texts):
        return np.zeros(1, np.int32)
    return np.frombuffer(texts.buffers()[1], np.int32)[texts.offset : texts.offset + len(texts) + 1]
