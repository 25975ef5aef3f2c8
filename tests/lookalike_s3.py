"""An S3 look-alike over real HTTP that misbehaves as told: it can refuse, forget conditions, or lose its answers.

Google Cloud Storage's XML interface is so much like S3's that it passes for that as well.
"""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class LookalikeS3(ThreadingHTTPServer):
    """`refuse`: (status, code) for every request; `conditions`: keep If-None-Match; `read_only`: refuse
    to write; `lost_answers`: PUTs to do but not answer.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.lock = threading.Lock()
        self.objects: dict[str, bytes] = {}
        self.requests = 0
        self.refuse: tuple[int, str] | None = None
        self.conditions = True
        self.read_only = False
        self.lost_answers = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"  # a connection for each request: closing the server closes them all
    server: LookalikeS3  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        if self._refused():
            return None
        if self.server.read_only:
            return self._answer(403, _error("AccessDenied"))
        with self.server.lock:
            exists = self.path in self.server.objects
            create = self.headers.get("If-None-Match") == "*" or self.headers.get("x-goog-if-generation-match") == "0"
            if exists and self.server.conditions and create:
                return self._answer(412, _error("PreconditionFailed"))
            self.server.objects[self.path] = content
            if self.server.lost_answers:
                self.server.lost_answers -= 1
                self.close_connection = True
                return None
        return self._answer(200, b"", ETag='"1"')

    def do_GET(self) -> None:
        if self._refused():
            return
        content = self.server.objects.get(self.path)
        if content is None:
            self._answer(404, _error("NoSuchKey"))
        else:
            self._answer(200, content, ETag='"1"', **{"Last-Modified": "Sat, 31 Jan 2026 00:00:00 GMT"})

    do_HEAD = do_GET

    def do_POST(self) -> None:
        """Multi-object delete: what obstore sends."""
        request = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if not self._refused():
            keys = re.findall("<Key>(.*?)</Key>", request)
            for key in keys:
                self.server.objects.pop(f"/bucket/{key}", None)
            deleted = "".join(f"<Deleted><Key>{key}</Key></Deleted>" for key in keys)
            self._answer(200, f"<DeleteResult>{deleted}</DeleteResult>".encode())

    def do_DELETE(self) -> None:
        if not self._refused():
            self.server.objects.pop(self.path, None)
            self._answer(204, b"")

    def _refused(self) -> bool:
        self.server.requests += 1
        if self.server.refuse:
            self._answer(self.server.refuse[0], _error(self.server.refuse[1]))
        return self.server.refuse is not None

    def _answer(self, status: int, content: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


def _error(code: str) -> bytes:
    return f"<Error><Code>{code}</Code><Message>as told</Message></Error>".encode()


@contextmanager
def lookalike_s3() -> Iterator[LookalikeS3]:
    """A look-alike that is up."""
    server = LookalikeS3()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
