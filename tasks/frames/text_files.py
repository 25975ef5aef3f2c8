"""A text file → its text."""

import pyarrow as pa

from tasks.frames.encodings import decode_text, not_text
from tasks.frames.raw import cut
from tasks.sections import DataSection
from tasks.transforms.items import Refused

NAME = "text"


def decode(section: DataSection, content: bytes) -> str:
    """The text; `Refused` where it is not in the encoding, or holds a NUL."""
    text = decode_text(content, section.encoding)
    if text is None:
        raise Refused(f"{not_text(section.encoding)}, or take the NUL out of it", "encoding")
    return text


def column(section: DataSection, values: list[str]) -> pa.Array:
    return pa.array(values, pa.string())


def describe(content: bytes) -> str:
    return cut(content.decode("latin-1"))
