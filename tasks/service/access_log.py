"""The access log: one line of JSON a request, on standard error, written a few times a second and not for each request."""

import asyncio
import os
import time
from concurrent.futures import Executor, ThreadPoolExecutor

import orjson

from tasks.service.exchange import Request

FLUSH_SECONDS = 0.2
WHOLE_BYTES = 4096  # a write of no more is not mixed with another process's: pipe(7), PIPE_BUF
MOST_BYTES = 4 << 20  # that may wait for a reader that is slow


class AccessLog:
    """Lines wait until the next flush, which a thread writes; what a reader that hangs does not take is dropped, and said so."""

    def __init__(self, descriptor: int = 2) -> None:
        self._descriptor = descriptor
        self._lines: list[bytes] = []
        self._bytes = self._dropped = 0
        self._due = False
        self._thread: Executor = ThreadPoolExecutor(1, "log")  # a pipe that nobody reads would block the loop

    def write(self, request: Request, status: int, seconds: float) -> None:
        """A request's line. Everything a client chose is escaped by JSON, and cut."""
        if self._bytes > MOST_BYTES:
            self._dropped += 1
            return
        fields = {
            "time": round(time.time(), 3),
            "id": request.id,
            "client": request.address,
            "key": request.key,
            "method": request.method[:20],
            "path": request.scope["raw_path"][:200].decode("ascii", "replace"),
            "status": status,
            "duration_ms": round(seconds * 1000, 3),
        }
        if request.model:
            fields |= {"model": request.model, "version": request.version, "role": request.role}
        line = orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE)
        self._lines.append(line)
        self._bytes += len(line)
        if not self._due:
            self._due = True
            asyncio.get_running_loop().call_later(FLUSH_SECONDS, self._begin_flush)

    async def close(self, seconds: float) -> None:
        """Write what waits, unless the reader hangs."""
        await asyncio.wait([self._flushed()], timeout=seconds)

    def _begin_flush(self) -> None:
        self._flushed().add_done_callback(self._go_on)

    def _go_on(self, _: object) -> None:
        self._due = bool(self._lines)
        if self._due:
            asyncio.get_running_loop().call_later(FLUSH_SECONDS, self._begin_flush)

    def _flushed(self) -> "asyncio.Future[None]":
        if self._dropped:
            self._lines.append(orjson.dumps({"dropped": self._dropped}, option=orjson.OPT_APPEND_NEWLINE))
        lines, self._lines, self._bytes, self._dropped = self._lines, [], 0, 0
        return asyncio.get_running_loop().run_in_executor(self._thread, self._write_all, lines)

    def _write_all(self, lines: list[bytes]) -> None:
        chunk = b""
        for line in lines:
            if len(chunk) + len(line) > WHOLE_BYTES:
                self._write(chunk)
                chunk = b""
            chunk += line
        self._write(chunk)

    def _write(self, chunk: bytes) -> None:
        try:
            while chunk:
                chunk = chunk[os.write(self._descriptor, chunk) :]
        except OSError:  # nobody reads any more
            return
