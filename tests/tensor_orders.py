"""Requests of the Open Inference Protocol for fuzzing: good ones to begin with, models that they are for, and what may become of them."""

import contextlib
import json
import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from handmade import COLUMNS, ROWS, iris_files, write_files

from tasks.inference.predictor import Predictor
from tasks.service.predicting import parse_items
from tasks.service.protocols.open_inference import read_order, to_items
from tasks.service.refusals import Refusal
from tasks.transforms.transforms import Transforms

IMAGE = {
    "name": "image", "shape": [8, 8, 1], "maximum": 16, "mean": [0.5], "std": [0.5], "resize": "letterbox"
}  # fmt: skip


def iris_and_digits(folder: Path) -> list[Any]:
    """A model of tables and one of images, as far as requests are read by them."""
    data = {"version": 1, "kind": "image", "task": "classification", "input": IMAGE, "example": None}
    data |= {"target": {"name": "digit", "classes": ["0", "1"]}}
    images = Transforms.load({"transforms.json": json.dumps(data).encode()})
    iris = Predictor.load(write_files(iris_files(), folder))
    return [
        SimpleNamespace(runtime=iris),
        SimpleNamespace(runtime=SimpleNamespace(transforms=images, parse=images.parse)),
    ]


def read(model: Any, body: bytes, length: bytes | None) -> str:
    """What becomes of a request: `read`, or the refusal's message. Whatever else it raises is a fault."""
    try:
        items = to_items(model, read_order(body, length)[1])
        parse_items(model, items)
    except Refusal as refusal:
        return refusal.message
    return "read"


def order(*tensors: dict[str, Any], binary: bytes = b"") -> tuple[bytes, bytes]:
    """A request's body and its Inference-Header-Content-Length."""
    head = json.dumps({"inputs": tensors}).encode()
    return head + binary, b"%d" % len(head)


def tensor(name: str, shape: list[int], datatype: str, data: Any = None, size: int | None = None) -> dict[str, Any]:
    """A tensor of the request's JSON."""
    told = {"name": name, "shape": shape, "datatype": datatype}
    return told | ({"data": data} if size is None else {"parameters": {"binary_data_size": size}})


def good_orders() -> list[tuple[bytes, bytes]]:
    """One of each kind that is read."""
    rows = ROWS[:2].astype("<f4").tobytes()
    columns = [tensor(name, [1, 1], "FP64", [float(value)]) for name, value in zip(COLUMNS, ROWS[0], strict=True)]
    binary = [tensor(name, [2], "FP16", size=4) for name in COLUMNS]
    pixels = np.ones((1, 8, 8), "<u1")
    text = b"iVBORw0KGgo="
    return [
        order(tensor("x", [2, 4], "FP32", size=len(rows)), binary=rows),
        order(tensor("x", [2, 4], "FP64", ROWS[:2].tolist())),
        order(*columns),
        order(*binary, binary=ROWS[:2].T.astype("<f2").tobytes()),
        order(tensor("image", [1, 8, 8], "UINT8", size=64), binary=pixels.tobytes()),
        order(tensor("image", [1, 8, 8, 1], "INT64", pixels.reshape(-1).tolist())),
        order(tensor("image", [1], "BYTES", size=4 + len(text)), binary=struct.pack("<I", len(text)) + text),
    ]


def mutated(choose: Any, body: bytes, length: bytes) -> tuple[bytes, bytes | None]:
    """The request with one to four changes, drawn by `choose` (as `random.Random`'s methods)."""
    content = bytearray(body)
    for _ in range(choose.randint(1, 4)):
        content, length = choose.choice(MUTATIONS)(choose, content, length)
    return bytes(content), choose.choice([length, length, length, b"%d" % choose.randint(0, len(content) + 1), None])


NUMBERS = [b"0", b"-1", b"1", b"2", b"3", b"255", b"16777216", b"16777217", b"9223372036854775808", b"1e400", b"1.5"]
WORDS = [b"BYTES", b"FP16", b"FP32", b"FP64", b"BOOL", b"UINT8", b"INT64", b"UINT64", b"null", b"true", b"{}", b"[]"]


def _flip(choose: Any, content: bytearray, length: bytes) -> tuple[bytearray, bytes]:
    if content:
        content[choose.randrange(len(content))] ^= 1 << choose.randrange(8)
    return content, length


def _cut(choose: Any, content: bytearray, length: bytes) -> tuple[bytearray, bytes]:
    at = choose.randrange(len(content) + 1)
    return content[:at] + content[at + choose.randrange(9) :], length


def _repeat(choose: Any, content: bytearray, length: bytes) -> tuple[bytearray, bytes]:
    at, size = choose.randrange(len(content) + 1), choose.randrange(40)
    return content[: at + size] + content[at:], length


def _reword(choose: Any, content: bytearray, length: bytes) -> tuple[bytearray, bytes]:
    """A number or a word of the JSON becomes another; the length of the JSON stays true."""
    end = len(content)
    with contextlib.suppress(ValueError):
        end = min(int(length), len(content))
    old = [word for word in (*NUMBERS, *WORDS, b"8", b"4", b"64") if word in content[:end]]
    if not old:
        return content, length
    found, new = choose.choice(old), choose.choice(NUMBERS + WORDS)
    at = bytes(content[:end]).find(found, choose.randrange(end)) if end else -1
    at = at if at >= 0 else bytes(content[:end]).find(found)
    return content[:at] + new + content[at + len(found) :], b"%d" % (end + len(new) - len(found))


MUTATIONS = (_flip, _cut, _repeat, _reword, _reword, _reword)
