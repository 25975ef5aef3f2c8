"""A file within JSON: its bytes in base64, as a plain text or as a data URL."""

import base64
import binascii

from tasks.transforms.items import Refused, show


def from_base64(text: str, wanted: str) -> bytes:
    """The bytes; `Refused` where `text` is no base64 (RFC 4648 §4). `data:image/png;base64,…` (RFC 2397) means the same."""
    if text.startswith("data:"):
        text = text.partition(";base64,")[2]
    try:
        content = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        content = b""
    if not content:
        raise Refused(f"found the text {show(text)}, wanted {wanted}")
    return content


def to_base64(content: bytes) -> str:
    """The inverse of `from_base64`."""
    return base64.b64encode(content).decode()
