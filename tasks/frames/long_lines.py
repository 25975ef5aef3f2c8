"""Lines of a file, none of which can fill the memory: of one that is too long only its length and its beginning are kept."""

from collections.abc import Iterator
from typing import Any

from tasks.frames.raw import RAW_LIMIT, Mark, Refusal

LONGEST_LINE = 64 << 20  # bytes; what is longer is no row
BLOCK = 1 << 20


class LongLine(bytes):
    """The beginning of a line that is longer than LONGEST_LINE. `length`: bytes of the whole, its end included."""

    length: int = 0


def lines(stream: Any, returns: bool = True) -> Iterator[bytes]:
    """The lines with their ends; a `LongLine` for each that is longer than LONGEST_LINE.

    `returns`: a lone carriage return ends a line, too. Memory holds no more than LONGEST_LINE and a block.
    """
    pending, held, skipped = list[bytes](), 0, 0
    while block := stream.read(BLOCK):
        ended = returns and b"".join(pending[-1:]).endswith(b"\r")
        pending.append(block)
        held += len(block)
        if ended or b"\n" in block or (returns and b"\r" in block):
            whole = _split(b"".join(pending), returns)
            last = b"" if whole[-1].endswith(b"\n") else whole.pop()
            for line in whole:
                yield line if skipped + len(line) <= LONGEST_LINE else _long(line, skipped)
                skipped = 0
            pending, held = [last], len(last)
        if held > LONGEST_LINE and not (returns and pending[-1].endswith(b"\r")):
            skipped += held - RAW_LIMIT
            pending, held = [b"".join(pending)[:RAW_LIMIT]], RAW_LIMIT
    if last := b"".join(pending):
        yield last if skipped + held <= LONGEST_LINE else _long(last, skipped)


def too_long(file: str, part: Mark, head: bytes) -> Refusal:
    """The refusal of such a line."""
    reason = f"a line of {part.length:,} bytes, wanted at most {LONGEST_LINE:,}; look for lost line ends"
    return Refusal(file, part.stop, "too_long", reason, head[:RAW_LIMIT].decode("utf-8", "replace"))


def is_too_long(part: Mark) -> bool:
    """Whether the rows of `part` are one line that is too long: it lies in a part of its own."""
    return part.stop - part.start == 1 and part.length > LONGEST_LINE


def _split(data: bytes, returns: bool) -> list[bytes]:
    if returns:
        return data.splitlines(keepends=True)
    *whole, last = data.split(b"\n")
    return [*(line + b"\n" for line in whole), *([last] if last else [])]


def _long(line: bytes, skipped: int) -> LongLine:
    found = LongLine(line[:RAW_LIMIT])
    found.length = skipped + len(line)
    return found
