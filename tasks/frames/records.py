"""Where the records of a CSV file begin and end, quoted line breaks and unbalanced quotation marks included."""

import re
from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

from tasks.frames.long_lines import LongLine, lines

CLOSING = re.compile(rb'(?:[^"]|"")*"(?!")')
LONGEST = 1 << 20  # bytes that one record may have over several lines


class Record(NamedTuple):
    """Bytes `start` to `stop` of the file. `torn`: a line that opens a quotation which nothing closes properly, or a `LongLine`."""

    start: int
    stop: int
    torn: bool
    content: bytes


def records(stream: Any, delimiter: str, quoting: bool) -> Iterator[Record]:
    """The file's records in order; blank lines are none. Without `quoting` each line is one.

    A quotation that is not closed, or closed in the middle of a cell lines later, would swallow rows: its first line is torn, and
    what follows is looked at afresh.
    """
    quotes, left, again = _Quotes(delimiter), lines(stream), deque[bytes]()
    start, pending, held, within = 0, list[bytes](), 0, False
    while True:
        line = again.popleft() if again else next(left, None)
        if isinstance(line, LongLine) and not pending:
            yield Record(start, start + line.length, True, line)
            start += line.length
            continue
        if isinstance(line, LongLine):
            again.appendleft(line)
            state = None
        elif line is not None:
            pending.append(line)
            held += len(line)
            state = quotes.after(line, within) if quoting and (within or b'"' in line) else False
            within = bool(state)
            if within and len(pending) > 1 and held > LONGEST:
                state = None
        elif not pending:
            return
        else:
            state = None
        if state is None:
            again.extendleft(reversed(pending[1:]))
            pending, within = pending[:1], False
        if not within:
            content = b"".join(pending)
            if content.strip(b"\r\n"):
                yield Record(start, start + len(content), state is None, content)
            start, pending, held = start + len(content), [], 0


class _Quotes:
    """Whether a quotation is open at a line's end."""

    def __init__(self, delimiter: str) -> None:
        field = re.escape(delimiter.encode())
        self._quoted = re.compile(rb"(^|" + field + rb')"(?:[^"]|"")*"(?!")')
        self._opened = re.compile(rb"(^|" + field + rb')"')
        self._proper = re.compile(rb"\s*($|" + field + rb")")

    def after(self, line: bytes, within: bool) -> bool | None:
        """True: one is open. None: one from an earlier line was closed in the middle of a cell."""
        if within:
            closing = CLOSING.match(line)
            if closing is None:
                return True
            line = line[closing.end() :]
            if not self._proper.match(line):
                return None
        return bool(self._opened.search(self._quoted.sub(rb"\1", line)))
