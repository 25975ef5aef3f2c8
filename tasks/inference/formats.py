"""Which bytes may be loaded: ONNX, JSON and safetensors, told by their content and not by a file's name. Pickle never is.

ONNX is a protobuf message (onnx.proto, IR version 3 and later) and is walked by hand here, as the onnx package would double the
service's start: https://protobuf.dev/programming-guides/encoding/. safetensors: https://github.com/huggingface/safetensors#format.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from storage.errors import CorruptArtifact, Untrusted

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
# Fields of ModelProto and TensorProto that matter here
MODEL_FIELDS, GRAPH, OPSET_IMPORT = {1, 2, 3, 4, 5, 6, 7, 8, 14, 20, 25, 26}, 7, 8
EXTERNAL_DATA, DATA_LOCATION = 13, 14
# By message the fields that lead to tensors: graphs stand in attributes too, as those of If and Loop
LEADING = {
    "model": {GRAPH: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
LARGEST_HEADER = 100_000_000  # the limit of safetensors itself


def check_formats(files: Mapping[str, Path]) -> None:
    """Untrusted for a file that is not the ONNX, JSON or safetensors that its name says."""
    for name, path in files.items():
        kind = Path(name).suffix
        check = {".onnx": is_onnx, ".json": is_json, ".safetensors": is_safetensors}.get(kind)
        if check is None or not check(path.read_bytes()):
            raise Untrusted(
                f"{name}: found {describe(path)}, wanted {'ONNX, JSON or safetensors' if check is None else kind[1:]}; "
                "nothing else is loaded. Release the model again, or import it as ONNX."
            )


def describe(path: Path) -> str:
    """What a refused file looks like, for the message."""
    with path.open("rb") as file:
        head = file.read(8)
    if (head[:1] == b"\x80" and head[1:2] <= b"\x05") or head[:2] in (b"(d", b"(l", b"(i", b"cb"):
        return "a pickle"
    if head[:2] == b"PK":
        return "a zip archive (torch and joblib write pickles into them)"
    return f"bytes that start with {head!r}"


def is_json(data: bytes) -> bool:
    """Whether `data` is one JSON object or list in UTF-8."""
    try:
        return isinstance(json.loads(data.decode()), dict | list)
    except (ValueError, RecursionError):
        return False


def is_safetensors(data: bytes) -> bool:
    """Whether `data` is a safetensors file whose tensors lie within it."""
    length = int.from_bytes(data[:8], "little")
    if len(data) < 10 or length > min(LARGEST_HEADER, len(data) - 8):
        return False
    try:
        header = json.loads(data[8 : 8 + length].decode())
        tensors = [entry for name, entry in header.items() if name != "__metadata__"]
        ends = [tensor["data_offsets"][1] for tensor in tensors]
    except (ValueError, AttributeError, KeyError, TypeError, IndexError):
        return False
    return max(ends, default=0) == len(data) - 8 - length


def is_onnx(data: bytes) -> bool:
    """Whether `data` is a whole ONNX model that keeps all its weights inside (none in other files)."""
    try:
        fields = list(_fields(memoryview(data)))
        graphs = [value for number, kind, value in fields if number == GRAPH and kind == BYTES]
        known = all(number in MODEL_FIELDS for number, _, _ in fields)
        complete = len(graphs) == 1 and any(number == OPSET_IMPORT for number, _, _ in fields)
        return known and complete and not any(_is_external(tensor) for tensor in _tensors(memoryview(data)))
    except (CorruptArtifact, IndexError):
        return False


def _tensors(model: memoryview) -> Iterator[memoryview]:
    """Every tensor of the model, however deep in its graphs."""
    found = [("model", model)]
    while found:
        message, data = found.pop()
        if message == "tensor":
            yield data
            continue
        leading = LEADING[message]
        found += [
            (leading[number], value) for number, kind, value in _fields(data) if kind == BYTES and number in leading
        ]


def _is_external(tensor: memoryview) -> bool:
    return any(
        number == EXTERNAL_DATA or (number == DATA_LOCATION and len(value)) for number, _, value in _fields(tensor)
    )


def _fields(data: memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """The (number, wire type, value) of each field in a protobuf message; a varint of 0 is an empty value."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        kind, size = tag & 7, 0
        if kind == VARINT:
            number, end = _varint(data, at)
            at = end if not number else at
            size = end - at
        elif kind == BYTES:
            size, at = _varint(data, at)
        elif kind in (FIXED64, FIXED32):
            size = 8 if kind == FIXED64 else 4
        if kind not in (VARINT, FIXED64, BYTES, FIXED32) or at + size > len(data):
            raise CorruptArtifact(f"protobuf: found wire type {kind} and {size} bytes at {at} of {len(data)}")
        yield tag >> 3, kind, data[at : at + size]
        at += size


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise CorruptArtifact(f"protobuf: found a number of more than 64 bits at {at}")
