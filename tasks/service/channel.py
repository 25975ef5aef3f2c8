"""How the supervisor and a worker talk: questions and tellings over a socket pair, as length-prefixed msgpack.

A message is `[number, name, value]`: a number above 0 asks and is answered under its negative, 0 only tells. An answer's name is empty,
or `error` with the text of a `Refused`.
"""

import asyncio
import itertools
import logging
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from storage.errors import MillraceError, ProcessLost

LENGTH = struct.Struct("<I")
Handler = Callable[[Any], Awaitable[Any]]
log = logging.getLogger(__name__)
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


class Refused(MillraceError):
    """The other side could not do what it was asked; the text says why."""


class Channel:
    """One end. `handlers`: what the other end may ask for or tell, by name."""

    def __init__(self, handlers: dict[str, Handler]) -> None:
        self._handlers = handlers
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._opened = asyncio.Event()
        self._answering: set[asyncio.Task[None]] = set()

    async def talk(self, end: socket.socket) -> None:
        """Answer until the other end is gone; whoever still waits for an answer then gets `ProcessLost`."""
        reader, self._writer = await asyncio.open_connection(sock=end)
        self._opened.set()
        try:
            while True:
                (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
                self._take(*_decode(await reader.readexactly(length)))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writer.close()
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(ProcessLost("the process at the other end is gone"))
            self._waiting.clear()

    async def opened(self) -> None:
        """Return when `talk` has begun: before that, nothing can be sent."""
        await self._opened.wait()

    def tell(self, name: str, value: Any = None) -> None:
        """Send; nobody answers. Lost without a word where the other end is gone."""
        self._send(0, name, value)

    async def ask(self, name: str, value: Any = None, seconds: float = 60.0) -> Any:
        """The other end's answer; `Refused`, `ProcessLost`, or TimeoutError."""
        number = next(self._numbers)
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            if not self._send(number, name, value):
                raise ProcessLost("the process at the other end is gone")
            return await asyncio.wait_for(future, seconds)
        finally:
            self._waiting.pop(number, None)

    def _send(self, number: int, name: str, value: Any) -> bool:
        if self._writer is None or self._writer.is_closing():
            return False
        content = _encode([number, name, value])
        self._writer.write(LENGTH.pack(len(content)) + content)
        return True

    def _take(self, number: int, name: str, value: Any) -> None:
        if number < 0:
            self._settle(-number, name, value)
            return
        task = asyncio.ensure_future(self._answer(number, name, value))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    def _settle(self, number: int, name: str, value: Any) -> None:
        future = self._waiting.get(number)
        if future is None or future.done():
            return
        if name:
            future.set_exception(Refused(value))
        else:
            future.set_result(value)

    async def _answer(self, number: int, name: str, value: Any) -> None:
        try:
            answer = await self._handlers[name](value)
        except MillraceError as error:
            self._reply(number, "error", str(error))
        except Exception as error:
            log.exception("%s failed", name)
            self._reply(number, "error", f"{type(error).__name__}: {error}")
        else:
            self._reply(number, "", answer)

    def _reply(self, number: int, name: str, value: Any) -> None:
        if number:
            self._send(-number, name, value)
