"""One request and its answer, as thin as ASGI allows: https://asgi.readthedocs.io/en/latest/specs/www.html."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any
from urllib.parse import parse_qs

import orjson

from tasks.service.refusals import ClientGone, Refusal

Scope = Mapping[str, Any]
JSON = b"application/json"


class Request:
    """`id` names it in the answer, the access log and the capture; `key` is who asks, `subject` whom it is about.

    `timing`, where it is wanted: when its rows came to the model's queue and left it by time.monotonic(), and seconds of the forward.
    """

    __slots__ = (
        "_receive",
        "headers",
        "id",
        "key",
        "method",
        "model",
        "path",
        "role",
        "route",
        "scope",
        "started",
        "timing",
        "version",
    )

    def __init__(self, scope: Scope, receive: Any, started: float) -> None:
        self.scope, self._receive, self.started = scope, receive, started
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.id = self.key = self.model = self.role = self.route = ""
        self.version = 0
        self.timing: list[float] | None = None

    def header(self, name: bytes, default: str = "") -> str:
        """A header's value; of one that is there more than once the last."""
        value = self.headers.get(name)
        return default if value is None else value.decode("latin-1")

    def query(self, name: str) -> str:
        """A parameter of the query string, or nothing."""
        return parse_qs(self.scope["query_string"].decode("latin-1")).get(name, [""])[0]

    @property
    def address(self) -> str:
        """Where the client is."""
        client = self.scope.get("client")
        return client[0] if client else ""

    @property
    def subject(self) -> str:
        """Whom the request is about, as the client says in `X-Subject`: the same subject meets the same version."""
        value = self.headers.get(b"x-subject", b"")
        try:
            return value.decode()[:200]
        except UnicodeDecodeError:
            return value.decode("latin-1")[:200]

    async def receive(self) -> Mapping[str, Any]:
        """The next ASGI message; ClientGone."""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        return message

    @property
    def connection(self) -> Any:
        """The connection that it came by: `lost` when the client has gone, which cancels what is `awaited`."""
        return self.scope["extensions"]["connection"]

    async def gone(self) -> None:
        """Return when the client has gone away."""
        while (await self._receive())["type"] != "http.disconnect":
            continue


class Answer:
    """Bytes with a status."""

    __slots__ = ("body", "headers", "status")

    def __init__(
        self, body: bytes, status: int = 200, kind: bytes = JSON, headers: Mapping[str, str] | None = None
    ) -> None:
        self.body, self.status = body, status
        self.headers = [(b"content-type", kind), (b"content-length", b"%d" % len(body))]
        for name, value in (headers or {}).items():
            self.headers.append((name.encode("latin-1"), value.encode("latin-1")))

    async def send(self, send: Any, request: Request) -> None:
        """The whole answer."""
        self.headers.append((b"x-request-id", request.id.encode()))
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.body})


class EventStream:
    """Server-sent events as they come: https://html.spec.whatwg.org/multipage/server-sent-events.html."""

    status = 200

    def __init__(self, events: AsyncGenerator[bytes]) -> None:
        self._events = events

    async def send(self, send: Any, request: Request) -> None:
        """Each event at once; the generator is closed as soon as the client goes away. ClientGone."""
        headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-store")]
        headers.append((b"x-request-id", request.id.encode()))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        sending = asyncio.ensure_future(self._send_events(send))
        gone = asyncio.ensure_future(request.gone())
        try:
            await asyncio.wait((sending, gone), return_when=asyncio.FIRST_COMPLETED)
            if not sending.done():
                raise ClientGone
            await sending
        finally:
            sending.cancel()
            gone.cancel()

    async def _send_events(self, send: Any) -> None:
        async with aclosing(self._events) as events:
            async for event in events:
                await send({"type": "http.response.body", "body": event, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def json_answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """A JSON answer."""
    return Answer(orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY), status, headers=headers)


def refusal_answer(refusal: Refusal, path: str) -> Answer:
    """`{"error": {"message", "type"}}`, or `{"error": "message"}` where the path's protocol wants a text; `item` where one item is at fault."""
    more = {} if refusal.item is None else {"item": refusal.item}
    if tells_errors_as_text(path):
        return json_answer({"error": refusal.message, **more}, refusal.status, refusal.headers)
    error = {"message": refusal.message, "type": refusal.kind, **more}
    return json_answer({"error": error}, refusal.status, refusal.headers)


def tells_errors_as_text(path: str) -> bool:
    """TensorFlow Serving's paths and the Open Inference Protocol's; Triton's client fails on anything but a text, OpenAI's wants an object."""
    place = path.removeprefix("/v1/models/")
    return path.startswith("/v2") or (place != path and (":" in place or "/" in place))
