"""Lines that are too long to be rows: none of them fills the memory, each is refused by its place."""

from typing import Any

from tasks.frames.raw import RAW_LIMIT, Mark, Refusal

LONGEST_LINE = 64 << 20  # bytes; what is longer is no row
BLOCK = 1 << 20


def past(stream: Any, ends: bytes) -> tuple[int, bytes]:
    """How many bytes follow up to the end of the line at hand, its end included, and what was read beyond it. `ends`: bytes that end a line."""
    length = 0
    while block := stream.read(BLOCK):
        found = [place for place in (block.find(end) for end in (bytes([one]) for one in ends)) if place >= 0]
        if found:
            end = min(found) + 1
            if block[end - 1 : end] == b"\r":  # perhaps the first of two
                block += stream.read(1) if end == len(block) else b""
                end += block[end : end + 1] == b"\n"
            return length + end, block[end:]
        if hasattr(stream, "forget"):  # it holds what is read of it
            stream.forget()
        length += len(block)
    return length, b""


def too_long(file: str, part: Mark, head: bytes) -> Refusal:
    """The refusal of such a line."""
    reason = f"a line of {part.length:,} bytes, wanted at most {LONGEST_LINE:,}; look for lost line ends"
    return Refusal(file, part.stop, "too_long", reason, head[:RAW_LIMIT].decode("utf-8", "replace"))


def is_too_long(part: Mark) -> bool:
    """Whether the rows of `part` are one line that is too long: it lies in a part of its own."""
    return part.stop - part.start == 1 and part.length > LONGEST_LINE
