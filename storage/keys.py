"""Step keys: the same name, inputs, code and libraries give the same key, and anything else another.

The encoding under the hash is injective: every value carries its type and length, so that `1`, `1.0`, `True` and `"1"`,
or `["ab"]` and `["a", "b"]`, never meet. Lists and tuples are alike, and so is a mapping in any order.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from storage.errors import ConfigError

_FORMAT = "millrace step 1"


def step_key(name: str, inputs: Mapping[str, Any], fingerprint: str, libraries: Mapping[str, str]) -> str:
    """The cache key of one step, as 64 hexadecimal digits. `ConfigError` for an input that is not plain data."""
    return hashlib.sha256(encode([_FORMAT, name, inputs, fingerprint, libraries])).hexdigest()


def encode(value: Any) -> bytes:
    """`value` as bytes, injectively: None, bool, int, float, str, bytes, lists, tuples, mappings of these."""
    if value is None:
        return b"n;"
    if isinstance(value, bool):
        return b"b1;" if value else b"b0;"
    if isinstance(value, int):
        return b"i%d;" % value
    if isinstance(value, float):
        return b"f" + float.__repr__(value).encode() + b";"
    if isinstance(value, str):
        return _framed(b"s", str.encode(value, "utf-8", "surrogatepass"))
    if isinstance(value, bytes):
        return _framed(b"y", value)
    if isinstance(value, list | tuple):
        return _framed(b"l", b"".join(map(encode, value)))
    if isinstance(value, Mapping):
        return _framed(b"m", b"".join(sorted(_framed(b"e", encode(key) + encode(item)) for key, item in value.items())))
    raise ConfigError(
        f"a step's input {value!r} has type {type(value).__name__}; wanted plain data that can be in a key"
    )


def _framed(tag: bytes, content: bytes) -> bytes:
    return tag + str(len(content)).encode() + b":" + content
