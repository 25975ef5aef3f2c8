"""A connection: uvicorn's, with bounds on the size of headers and on the time that a client may take.

Times are kept by one sweep over all connections, so that a request costs no timer of its own.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tasks.service.limits import Limits

SWEEP_SECONDS = 0.5
LINGER_SECONDS = 1.0  # an idle connection of a stopping server answers what is on its way, and then closes
MOST_HEADERS = 100
LATE = "not here in time; send it faster or in smaller requests"


class Corked:
    """A transport that sends an answer's head together with the beginning of its body: one system call instead of two."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport, self._head = transport, b""
        self.is_closing = transport.is_closing

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Keep a head; send what follows with it."""
        if not self._head and data.startswith(b"HTTP/1.1 ") and not data.startswith(b"HTTP/1.1 1"):
            self._head = data
            return
        self._transport.write(self._head + data if self._head else data)
        self._head = b""

    def flush(self) -> None:
        """Send a head that no body follows."""
        if self._head:
            self._transport.write(self._head)
            self._head = b""

    def close(self) -> None:
        """After what is kept is sent."""
        self.flush()
        self._transport.close()


class Connection(HttpToolsProtocol):
    """`limits` is set on a subclass made for the server. A request that comes too slowly is answered with 408, too much of headers with 431."""

    limits: Limits

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        super().connection_made(Corked(transport))  # pyright: ignore[reportArgumentType]
        self.head_bytes = 0
        self.reading = self.in_body = self.last = False  # reading: between the first byte of a request and its last
        self.since = self.loop.time()
        if len(self.connections) > self.limits.connections:
            self.end(503, "found too many connections; try again later")

    def data_received(self, data: bytes) -> None:
        """Parse; headers that have not ended are counted, as they are kept until they do."""
        if not self.reading:
            self.reading, self.since, self.head_bytes = True, self.loop.time(), 0
        super().data_received(data)
        if self.reading and not self.in_body:
            self.head_bytes += len(data)
            self._bound(self.head_bytes)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.reading, self.in_body = True, False
        self.header_bytes = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        self.header_bytes += len(name) + len(value)
        self._bound(self.header_bytes)

    def on_headers_complete(self) -> None:
        self.in_body = True
        self._bound(self.header_bytes + len(self.url))
        if not self.transport.is_closing():
            super().on_headers_complete()
            self.cycle.keep_alive &= not self.last

    def on_body(self, body: bytes) -> None:
        if not self.transport.is_closing():
            super().on_body(body)

    def on_message_complete(self) -> None:
        self.reading = self.in_body = False
        if not self.transport.is_closing():
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """As uvicorn's, without a timer."""
        self.server_state.total_requests += 1
        self.transport.flush()  # pyright: ignore[reportAttributeAccessIssue]
        if self.transport.is_closing():
            return
        self.since = self.loop.time()
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)

    def shutdown(self) -> None:
        """Close after the answer under way; an idle connection a moment later, as a request may be on its way."""
        self.last = True
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.keep_alive = False
        else:
            self.loop.call_later(LINGER_SECONDS, self._close_idle)

    def sweep(self, now: float) -> None:
        """End what takes too long: headers, a body, or an idle connection."""
        spent = now - self.since
        if self.reading:
            what, most = ("body", self.limits.body_seconds) if self.in_body else ("headers", self.limits.header_seconds)
            if spent > most:
                self.end(408, f"{what}: {LATE}")
        elif spent > self.limits.idle_seconds:
            self._close_idle()

    def end(self, status: int, message: str) -> None:
        """Answer, unless an answer is under way, and close."""
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            body = b'{"error":{"message":"%b"}}' % message.encode()
            head = b"HTTP/1.1 %d \r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
            self.transport.write(head % (status, len(body)) + body)
        self.transport.close()

    def _close_idle(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()

    def _bound(self, size: int) -> None:
        if size > self.limits.header_bytes or len(self.headers or ()) > MOST_HEADERS:
            self.end(431, "headers: found too many or too long ones; send fewer or shorter ones")


async def sweep(connections: Iterable[Any]) -> None:
    """Look at all connections twice a second, for ever."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(SWEEP_SECONDS)
        now = loop.time()
        for connection in list(connections):
            connection.sweep(now)
