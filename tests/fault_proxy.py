"""An HTTP proxy before a real server, that hurts the requests it is told to, speaks TLS where it is given a certificate, and remembers."""

import http.client
import random
import select
import socket
import ssl
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

FAULTS = ("503", "500", "reset", "lost", "cut")
SLOW_SECONDS = 1.0
IN_A_ROW = 2  # what tries again three times must succeed


@dataclass
class Storm:
    """`share` of the requests are hurt, each by one of `kinds`: refused (503, 500), `reset` before or `lost` after the server did
    it, its answer `cut` short or `slow`, or never coming (`stall`). `in_a_row`: no request is hurt more often without a pause.
    """

    share: float
    kinds: tuple[str, ...] = FAULTS
    seed: int = 0
    in_a_row: float = IN_A_ROW
    hurt: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._in_a_row: Counter[str] = Counter()

    def next(self, request: str) -> str:
        """The fault for this request; empty: none."""
        if self._in_a_row[request] >= self.in_a_row or self._random.random() >= self.share:
            self._in_a_row[request] = 0
            return ""
        self._in_a_row[request] += 1
        kind = self._random.choice(self.kinds)
        self.hurt[kind] += 1
        return kind


class FaultProxy(ThreadingHTTPServer):
    """`storm`: what to hurt, None for nothing; `forgotten`: headers that the server does not get; `seen`: method, path and
    headers of each request.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, upstream: str, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = urlsplit(upstream).netloc
        self.lock = threading.Lock()
        self.storm: Storm | None = None
        self.closing = threading.Event()
        self.forgotten: set[str] = set()
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.server_port}"
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_side=True)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: FaultProxy  # pyright: ignore[reportIncompatibleVariableOverride]

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with self.server.lock:
            self.server.seen.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}))
            fault = self.server.storm.next(f"{self.command} {self.path}") if self.server.storm else ""
        if fault == "reset":
            return self._hang_up()
        if fault in ("503", "500"):
            code = {"503": "SlowDown", "500": "InternalError"}[fault]
            return self._answer(int(fault), [], f"<Error><Code>{code}</Code></Error>".encode())
        if fault == "stall":
            return self._say_nothing()
        if fault == "slow":
            time.sleep(SLOW_SECONDS)
        status, headers, content = self._ask(body)
        if fault == "lost":
            return self._hang_up()
        return self._answer(status, headers, content, cut=fault == "cut")

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass_on

    def _ask(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        """The server's own answer to this request."""
        connection = http.client.HTTPConnection(self.server.upstream, timeout=60)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in {"expect", "connection", *self.server.forgotten}:
                    connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()

    def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes, cut: bool = False) -> None:
        self.send_response_only(status)
        left_out = ("transfer-encoding", "connection", "content-length" if self.command != "HEAD" else "")
        for name, value in headers:
            if name.lower() not in left_out:
                self.send_header(name, value)
        if self.command != "HEAD":
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[: len(content) // 2] if cut else content)
        if cut:
            self._hang_up()

    def _say_nothing(self) -> None:
        """Until the client goes, or the proxy."""
        self.close_connection = True
        while not self.server.closing.is_set() and not select.select([self.connection], [], [], 0.1)[0]:
            continue

    def _hang_up(self) -> None:
        """Close with a reset: the client hears nothing more."""
        self.close_connection = True
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@contextmanager
def fault_proxy(upstream: str, tls: ssl.SSLContext | None = None) -> Iterator[FaultProxy]:
    """A proxy before `upstream` that is up."""
    proxy = FaultProxy(upstream, tls)
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    try:
        yield proxy
    finally:
        proxy.closing.set()
        proxy.shutdown()
        proxy.server_close()
