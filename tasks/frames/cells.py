"""Cells of one column → typed values; a cell that is no such value is reported, never guessed."""

from typing import Any

import numpy as np
import pyarrow as pa

from tasks.frames.arrow import pc

INTEGER = r"^[+-]?0*[0-9]{1,18}(\.0+)?$"
LARGEST = 10**18 - 1
NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
ASCII_SPACES = " \t\n\v\f\r\x1c\x1d\x1e\x1f"
SCANNED = 1 << 16  # bytes at a time, so that what is compared stays near the processor
ARROW = {
    "integer": pa.int64(),
    "number": pa.float64(),
    "category": pa.string(),
    "text": pa.string(),
    "passage": pa.string(),
}


def as_texts(values: Any, missing: tuple[str, ...]) -> pa.Array:
    """Trimmed texts; the texts in `missing`, empty ones and NaN become null."""
    array = _one(values)
    if pa.types.is_floating(array.type):
        array = pc.if_else(pc.is_nan(array), None, array)
    if not pa.types.is_string(array.type):
        array = array.cast(pa.string())
    texts = _trimmed(array)
    return pc.if_else(
        pc.is_in(texts, pa.array(sorted({"", *missing}), pa.string())), pa.scalar(None, pa.string()), texts
    )


def _trimmed(texts: pa.Array) -> pa.Array:
    """Without white space at the ends. Unicode's is asked for only where it can be: Arrow's table of it takes 0.4 s to make."""
    if pc.all(pc.string_is_ascii(texts)).as_py() is not False:
        return pc.ascii_trim(texts, ASCII_SPACES)
    return pc.utf8_trim_whitespace(texts)


def typed(values: Any, kind: str, missing: tuple[str, ...]) -> tuple[pa.Array, np.ndarray]:
    """`values` as `kind` (integer int64, number float64, category, text and passage string), and a mask of the cells that are none.

    A refused cell is null in the values. Infinite numbers are refused; NaN is null.
    """
    array = _one(values)
    if kind == "passage":  # as it is, white space and all; only an empty one is no value
        passages = array if pa.types.is_string(array.type) else array.cast(pa.string())
        empty = pc.equal(pc.binary_length(passages), 0)
        return pc.if_else(empty, pa.scalar(None, pa.string()), passages), np.zeros(len(passages), dtype=bool)
    if kind in ("category", "text"):
        texts = (_coded_texts if pa.types.is_dictionary(array.type) else as_texts)(array, missing)
        return texts, np.zeros(len(texts), dtype=bool)
    if pa.types.is_integer(array.type) or pa.types.is_floating(array.type) or pa.types.is_decimal(array.type):
        numbers = (
            array.cast(pa.float64(), safe=False) if kind == "number" or not pa.types.is_integer(array.type) else array
        )
        return _numbers(numbers, kind)
    texts = as_texts(array, missing)
    if (numbers := at_once(texts, kind)) is not None:
        return numbers, np.zeros(len(texts), dtype=bool)
    fits = pc.fill_null(pc.match_substring_regex(texts, INTEGER if kind == "integer" else NUMBER), False)
    refused = _mask(pc.and_(pc.is_valid(texts), pc.invert(fits)))
    fitting = pc.if_else(fits, texts, pa.scalar(None, pa.string()))
    if (numbers := at_once(fitting, kind)) is not None:
        return numbers, refused
    plain = pc.replace_substring_regex(fitting, r"^\+", "")
    if kind == "integer":
        return pc.replace_substring_regex(plain, r"\.0+$", "").cast(pa.int64()), refused
    numbers, infinite = _numbers(plain.cast(pa.float64()), kind)
    return numbers, refused | infinite


def at_once(texts: pa.Array, kind: str) -> pa.Array | None:
    """Trimmed texts as integers or numbers; None where one may be none, or another than Arrow takes it for."""
    if kind == "integer" and has_hexadecimal(texts.buffers()[2]):
        return None
    try:
        numbers = texts.cast(pa.int64() if kind == "integer" else pa.float64())
    except pa.ArrowInvalid:
        return None
    return None if is_surprising(numbers) else numbers


def is_surprising(numbers: Any) -> bool:
    """Whether Arrow read a number that no text of ours stands for: NaN, an infinite one, or one too large."""
    if not pa.types.is_integer(numbers.type):
        return not pc.all(pc.is_finite(numbers)).as_py() if len(numbers) > numbers.null_count else False
    ends = pc.min_max(numbers).as_py()
    return ends["min"] is not None and (ends["min"] < -LARGEST or ends["max"] > LARGEST)


def has_hexadecimal(content: Any) -> bool:
    """Whether there is 0x in those bytes: Arrow reads hexadecimal numbers."""
    for start in range(0, len(content) if content else 0, SCANNED):
        found = np.frombuffer(content, np.uint8, min(SCANNED + 1, len(content) - start), start)
        if (((found[1:] | 0x20) == ord("x")) & (found[:-1] == ord("0"))).any():
            return True
    return False


def _coded_texts(values: pa.DictionaryArray, missing: tuple[str, ...]) -> pa.DictionaryArray:
    """`as_texts` of each different text."""
    texts = as_texts(values.dictionary, missing)
    if texts.equals(values.dictionary):
        return values
    different = pc.unique(texts.drop_null())
    return pa.DictionaryArray.from_arrays(pc.index_in(texts, different).take(values.indices), different)


def _numbers(numbers: pa.Array, kind: str) -> tuple[pa.Array, np.ndarray]:
    if pa.types.is_integer(numbers.type):
        return numbers.cast(pa.int64()), np.zeros(len(numbers), dtype=bool)
    if kind == "number" and not is_surprising(numbers):
        return numbers, np.zeros(len(numbers), dtype=bool)
    numbers = pc.if_else(pc.is_nan(numbers), pa.scalar(None, pa.float64()), numbers)
    bad = pc.invert(pc.is_finite(numbers))
    if kind == "integer":
        whole = pc.and_(pc.equal(pc.floor(numbers), numbers), pc.less(pc.abs(numbers), 2.0**63))
        bad = pc.or_(bad, pc.invert(whole))
    refused = _mask(bad)
    kept = pc.if_else(pc.fill_null(bad, False), pa.scalar(None, pa.float64()), numbers)
    return (kept.cast(pa.int64()) if kind == "integer" else kept), refused


def _mask(values: Any) -> np.ndarray:
    return np.asarray(pc.fill_null(values, False).to_numpy(zero_copy_only=False), dtype=bool)


def _one(values: Any) -> Any:
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    return values.chunk(0) if isinstance(values, pa.ChunkedArray) else values
