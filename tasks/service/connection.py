"""A connection: uvicorn's, with bounds on the size of headers and on the time that a client may take.

Times are kept by one sweep over all connections, so that a request costs no timer of its own.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tasks.service.exchange import refusal_answer
from tasks.service.limits import Limits
from tasks.service.refusals import Refusal
from tasks.service.tally import Tally

SWEEP_SECONDS = 0.5
LINGER_SECONDS = 1.0  # an idle connection of a stopping server answers what is on its way, and then closes
MOST_HEADERS = 100
LATE = "not here in time; send it faster or in smaller requests"


class Corked:
    """A transport that sends an answer's head together with the beginning of its body: one system call instead of two.

    While it `lingers` it is not closed, as what a client still sends would then make the system throw away the answer: RFC 9112 §9.6.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport, self._head = transport, b""
        self.lingers = self.lingered = False
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
        """After what is kept is sent, and no longer lingering."""
        self.flush()
        if self.lingers:
            self.lingered = True
        else:
            self._transport.close()

    def linger(self, lingers: bool) -> None:
        """Whether to, from now on; close if that was put off."""
        self.lingers = lingers
        if self.lingered and not lingers:
            self._transport.close()


class Connection(HttpToolsProtocol):
    """`limits` and `tally` are set on a subclass made for the server. What is no HTTP is answered with 400, a request that comes too slowly
    with 408, too much of headers with 431; who does not take an answer loses the connection.
    """

    limits: Limits
    tally: Tally

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        self.corked = Corked(transport)
        super().connection_made(self.corked)  # pyright: ignore[reportArgumentType]
        self.head_bytes = self.begun = 0  # begun: messages in the data received last
        self.reading = self.in_body = self.last = False  # reading: between the first byte of a request and its last
        self.own = False  # whether `cycle` is of the request that is read
        self.declining = self.lost = False
        self.awaited: asyncio.Future[Any] | None = None  # what is stopped when the client goes away
        self.url = b""
        self.since = self.taken = self.loop.time()  # taken: when nothing waited to be sent
        if len(self.connections) > self.limits.connections:
            self.end(503, "found too many connections; try again later")

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.lost = True
        if self.awaited is not None:
            self.awaited.cancel()

    def data_received(self, data: bytes) -> None:
        """Parse; headers that have not ended are counted, as they are kept until they do."""
        fresh, self.begun = not self.reading, 0
        if fresh:
            self.reading, self.since, self.head_bytes = True, self.loop.time(), 0
        self._feed(data)
        if self.reading and not self.in_body and self.begun == fresh:  # else they began behind another request
            self.head_bytes += len(data)
            self._bound(self.head_bytes)

    def on_message_begin(self) -> None:
        if self.declining:
            return
        super().on_message_begin()
        self.begun += 1
        self.reading, self.in_body, self.since = True, False, self.loop.time()
        self.own = False
        self.header_bytes = self.head_bytes = 0

    def on_url(self, url: bytes) -> None:
        if not self.declining:
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """What comes after the body is counted and left out: RFC 9110 §6.5.1, nobody expects a key or a subject there."""
        if self.declining:
            return
        if not self.in_body:
            super().on_header(name, value)
        self.header_bytes += len(name) + len(value)
        self._bound(self.header_bytes)

    def on_headers_complete(self) -> None:
        if self.declining:
            return
        self.in_body = True
        self._bound(self.header_bytes + len(self.url))
        if not self.transport.is_closing():
            self.scope["extensions"] = {"connection": self}  # pyright: ignore[reportGeneralTypeIssues]
            super().on_headers_complete()
            self.own, self.corked.lingers = True, True
            self.cycle.keep_alive &= not self.last

    def on_body(self, body: bytes) -> None:
        if not self.transport.is_closing():
            super().on_body(body)

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade() and self._framing():
            return  # its body is still to come, see _decline_upgrade
        self.reading = self.in_body = False
        if not self.transport.is_closing():
            super().on_message_complete()
            self.corked.linger(False)

    def on_response_complete(self) -> None:
        """As uvicorn's, without a timer."""
        self.server_state.total_requests += 1
        self.corked.flush()
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
        """End what takes too long: headers, a body, an answer that is not taken, or an idle connection."""
        if not self.transport.get_write_buffer_size():
            self.taken = now
        elif now - self.taken > self.limits.idle_seconds:
            self.transport.abort()
            return
        spent, busy = now - self.since, self.cycle is not None and not self.cycle.response_complete
        if self.pipeline or (busy and not self.in_body):  # what comes behind a request waits for its answer
            return
        if self.reading:
            what, most = ("body", self.limits.body_seconds) if self.in_body else ("headers", self.limits.header_seconds)
            if spent > most:
                self.end(408, f"{what}: {LATE}")
        elif spent > self.limits.idle_seconds:
            self._close_idle()

    def end(self, status: int, message: str) -> None:
        """Answer in the form that the path's protocol wants, unless another answer would be taken for this one, and close."""
        if self.transport.is_closing():
            return
        headers = {"connection": "close", **({"retry-after": "1"} if status == 503 else {})}
        refusal = Refusal(status, message, headers=headers)
        self.tally.count("millrace_errors", refusal.kind)
        if self._may_answer():
            answer = refusal_answer(refusal, self.url.partition(b"?")[0].decode("latin-1"))
            head = b"".join(b"%b: %b\r\n" % header for header in answer.headers)
            self.transport.write(b"HTTP/1.1 %d \r\n%b\r\n%b" % (status, head, answer.body))
        self.corked.lingers = False
        self.transport.close()

    def _may_answer(self) -> bool:
        """Nobody waits for an earlier answer, and this request has none."""
        if self.own and self.in_body:
            return not self.pipeline and not self.cycle.response_started
        return not self.pipeline and (self.cycle is None or self.cycle.response_complete)

    def _feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._decline_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self.end(400, "found no HTTP request that can be read in one way only")

    def _decline_upgrade(self, rest: bytes) -> None:
        """Go on with HTTP/1.1, as RFC 9110 §7.8 allows: Java's client and curl offer HTTP/2 with each request, bodies included.

        The parser takes what follows the headers for another protocol. A new one is told how long the body is, and reads on.
        """
        framing = self._framing()
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
        if framing:
            self.declining = True
            self.parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n\r\n" % framing)
            self.declining = False
        if rest and not self.transport.is_closing():
            self._feed(rest)

    def _framing(self) -> bytes:
        """The header that says how long the body is; nothing where there is no body."""
        for name, value in self.headers:
            if name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0")):
                return name + b": " + value
        return b""

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
