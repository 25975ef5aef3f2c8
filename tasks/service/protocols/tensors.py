"""Tensors of the Open Inference Protocol, in JSON or as binary data after it, and the items that they hold.

https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tasks.service.refusals import Refusal

LENGTH = struct.Struct("<I")
NUMBERS = {
    "BOOL": "bool", "UINT8": "<u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8", "INT8": "<i1", "INT16": "<i2",
    "INT32": "<i4", "INT64": "<i8", "FP16": "<f2", "FP32": "<f4", "FP64": "<f8",
}  # fmt: skip
MOST_VALUES = 2**24
MOST_DIMENSIONS = 8


@dataclass(frozen=True)
class Tensor:
    """`values`: numpy numbers of `shape`, or texts in one flat list for BYTES."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    values: Any

    def nested(self) -> np.ndarray:
        """The values in the tensor's shape."""
        return np.array(self.values, dtype=object).reshape(self.shape) if self.datatype == "BYTES" else self.values

    def rows(self) -> list[Any]:
        """One value for each place of the first dimension: nested lists, or the one value where there is one."""
        nested = self.nested()
        return (nested[:, 0] if self.shape[1:] == (1,) else nested).tolist()


def read_tensor(told: Mapping[str, Any], binary: memoryview, at: int) -> tuple[Tensor, int]:
    """An input as the request's JSON tells of it, and where the binary data of the next begin. Refusal 422."""
    name, datatype, shape = told["name"], told["datatype"], _shape(told)
    size = told["parameters"].get("binary_data_size")
    count = 1
    for length in shape:
        count *= length
    if count > MOST_VALUES:
        raise _wrong(name, f"found {count} values, wanted at most {MOST_VALUES}")
    if datatype != "BYTES" and datatype not in NUMBERS:
        raise _wrong(name, f"found the datatype {datatype[:20]!r}, wanted one of {', '.join((*NUMBERS, 'BYTES'))}")
    if size is None:
        return Tensor(name, datatype, shape, _from_json(told, datatype, shape, count)), at
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= len(binary) - at:
        raise _wrong(
            name, f"found binary_data_size {size!r:.40}, wanted at most the {len(binary) - at} bytes that are left"
        )
    if told["data"] is not None:
        raise _wrong(name, "found both data and binary_data_size, wanted one of them")
    content = binary[at : at + size]
    values = _texts(name, content, count) if datatype == "BYTES" else _numbers(name, content, datatype, shape, count)
    return Tensor(name, datatype, shape, values), at + size


def to_binary(datatype: str, values: Sequence[Any]) -> bytes:
    """An output's binary data."""
    if datatype == "BYTES":
        texts = [value.encode() for value in values]
        return b"".join(LENGTH.pack(len(text)) + text for text in texts)
    return np.asarray(values, dtype=NUMBERS[datatype]).tobytes()


def _shape(told: Mapping[str, Any]) -> tuple[int, ...]:
    shape = tuple(told["shape"])
    if not 1 <= len(shape) <= MOST_DIMENSIONS or any(not 1 <= length <= MOST_VALUES for length in shape):
        raise _wrong(
            told["name"],
            f"found the shape {list(shape)!r:.60}, wanted 1 to {MOST_DIMENSIONS} lengths of at least 1, the first for the items",
        )
    return shape


def _from_json(told: Mapping[str, Any], datatype: str, shape: tuple[int, ...], count: int) -> Any:
    data = told["data"]
    if data is None:
        raise _wrong(told["name"], "found no data, wanted data or the parameter binary_data_size")
    flat = _flattened(told["name"], data, len(shape))
    if len(flat) != count:
        raise _wrong(told["name"], f"found {len(flat)} values, wanted {count} for the shape {list(shape)}")
    if datatype == "BYTES":
        if not all(isinstance(value, str) for value in flat):
            raise _wrong(told["name"], "found values that are no texts, wanted texts for BYTES")
        return flat
    if not all(type(value) in _types(datatype) for value in flat):
        raise _wrong(told["name"], f"found values of another type, wanted {datatype}")
    try:
        with np.errstate(over="raise"):
            return np.array(flat, dtype=NUMBERS[datatype]).reshape(shape)
    except (ArithmeticError, ValueError):
        raise _wrong(told["name"], f"found a number that {datatype} cannot hold") from None


def _types(datatype: str) -> tuple[type, ...]:
    """Python's types of JSON values that are such numbers: nothing is rounded without a word."""
    if datatype == "BOOL":
        return (bool,)
    return (int, float) if datatype.startswith("FP") else (int,)


def _flattened(name: str, data: Any, depth: int) -> list[Any]:
    """Flat data as they are; nested lists row by row, as the protocol allows both."""
    while isinstance(data, list) and data and isinstance(data[0], list):
        if depth <= 1 or not all(isinstance(part, list) for part in data):
            raise _wrong(name, "found data nested in another way than the shape says")
        data, depth = [value for part in data for value in part], depth - 1
    if not isinstance(data, list):
        raise _wrong(name, f"found data of type {type(data).__name__}, wanted a list")
    return data


def _numbers(name: str, content: memoryview, datatype: str, shape: tuple[int, ...], count: int) -> np.ndarray:
    kind = np.dtype(NUMBERS[datatype])
    if len(content) != count * kind.itemsize:
        raise _wrong(
            name, f"found {len(content)} bytes, wanted {count * kind.itemsize} for {list(shape)} of {datatype}"
        )
    if datatype == "BOOL":
        return (np.frombuffer(content, dtype="<u1") != 0).reshape(shape)
    return np.frombuffer(content, dtype=kind).reshape(shape)


def _texts(name: str, content: memoryview, count: int) -> list[str]:
    texts, at = [], 0
    while at < len(content) and len(texts) < count:
        if at + LENGTH.size > len(content):
            break
        (length,) = LENGTH.unpack_from(content, at)
        at += LENGTH.size
        if at + length > len(content):
            break
        try:
            texts.append(str(content[at : at + length], "utf-8"))
        except UnicodeDecodeError:
            raise _wrong(name, f"found bytes that are no UTF-8 in text {len(texts)}") from None
        at += length
    if at != len(content) or len(texts) != count:
        raise _wrong(
            name,
            f"found {len(texts)} whole texts in {len(content)} bytes, wanted {count} of 4 bytes length and so many bytes",
        )
    return texts


def _wrong(name: str, what: str) -> Refusal:
    return Refusal(422, f"input {name[:60]!r}: {what}")
