"""The service as an ASGI application: which path does what, and what becomes of each request in counts, log and answer."""

import asyncio
import itertools
import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from storage.errors import TransientError
from tasks.service.access_log import AccessLog
from tasks.service.exchange import Answer, EventStream, Request, refusal_answer
from tasks.service.grants import not_found
from tasks.service.refusals import ClientGone, Refusal
from tasks.service.tally import REQUESTS, Tally

if TYPE_CHECKING:
    from tasks.service.spans import Spans

Handler = Callable[..., Awaitable[Answer | EventStream]]
REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,64}")
PAUSE_SECONDS = 0.1  # at most, until it is told that too much waits: who asks again at once then makes nothing worse
GONE = 499  # nginx's code for a client that went away
METHODS = ("GET", "POST")
UNREACHED = "what is needed for the answer cannot be reached now; try again later"
log = logging.getLogger(__name__)


class Path:
    """`pattern` in OpenAPI's form, as `/v1/models/{model}`; `handle` gets the request and what the braces stand for."""

    def __init__(self, method: str, pattern: str, handle: Handler) -> None:
        self.method, self.pattern, self.handle = method, pattern, handle
        self.fixed = "{" not in pattern
        parts = re.split(r"\{(\w+)\}", pattern)
        expression = "".join(
            re.escape(part) if i % 2 == 0 else f"(?P<{part}>[a-z0-9][a-z0-9._-]{{0,63}})"
            for i, part in enumerate(parts)
        )
        self.expression = re.compile(expression)


class App:
    """ASGI over `paths`. `spans`: where requests are traced."""

    def __init__(
        self, paths: Sequence[Path], tally: Tally, access: AccessLog, prefix: str, spans: "Spans | None" = None
    ) -> None:
        self._fixed = {(path.method, path.pattern): path for path in paths if path.fixed}
        self._others = [path for path in paths if not path.fixed]
        self._tally, self._access, self._spans = tally, access, spans
        self._prefix, self._numbers = f"{prefix}{secrets.token_hex(4)}", itertools.count()
        self._tick: asyncio.Event | None = None
        self.active = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive, time.perf_counter())
        request.id = self._id(request)
        if self._spans is not None:
            request.timing = []
        status, self.active = GONE, self.active + 1
        try:
            answer = await self._answer(request)
            status = answer.status
            await answer.send(send, request)
        except ClientGone:
            status = GONE
        finally:
            self.active -= 1
            seconds = time.perf_counter() - request.started
            self._tally.observe((REQUESTS, _method(request), request.route, str(status)), seconds)
            self._access.write(request, status, seconds)
            if self._spans is not None:
                self._spans.write(request, status, seconds)

    async def _answer(self, request: Request) -> Answer | EventStream:
        try:
            path, found = self._find(request)
            return await path.handle(request, **found)
        except Refusal as refusal:
            self._tally.count("millrace_errors", refusal.kind)
            if refusal.kind == "overloaded":
                await self._pause()
            return refusal_answer(refusal, _sent_path(request))
        except ClientGone:
            raise
        except (TransientError, TimeoutError) as error:  # the storage, when a model is loaded again; or the supervisor
            log.error("request %s: %s", request.id, error)
            self._tally.count("millrace_errors", "failed")
            return refusal_answer(Refusal(503, UNREACHED, headers={"retry-after": "1"}), request.path)
        except Exception:
            log.exception("request %s failed", request.id)
            self._tally.count("millrace_errors", "failed")
            return refusal_answer(Refusal(500, "the service failed; its log says more"), _sent_path(request))

    async def _pause(self) -> None:
        """Until the next tick, and with all others who wait for it: hundreds of single wakes a second would cost the forwards their core."""
        if self._tick is None:
            self._tick = asyncio.Event()
            asyncio.get_running_loop().call_later(PAUSE_SECONDS, self._end_pause, self._tick)
        await self._tick.wait()

    def _end_pause(self, tick: asyncio.Event) -> None:
        self._tick = None
        tick.set()

    def _find(self, request: Request) -> tuple[Path, dict[str, str]]:
        method = "GET" if request.method == "HEAD" else request.method
        path = self._fixed.get((method, request.path))
        if path is not None:
            request.route = path.pattern
            return path, {}
        allowed = {one for one in METHODS if (one, request.path) in self._fixed}
        for path in self._others:
            if match := path.expression.fullmatch(request.path):
                if path.method == method:
                    request.route = path.pattern
                    return path, match.groupdict()
                allowed.add(path.method)
        if allowed:
            raise Refusal(
                405,
                f"method: found {request.method[:20]}, wanted {' or '.join(sorted(allowed))}",
                headers={"allow": ", ".join(sorted(allowed))},
            )
        raise not_found()

    def _id(self, request: Request) -> str:
        """The client's own, where it can stand in a header and a log; else one that no other process makes."""
        given = request.headers.get(b"x-request-id")
        if given is not None and REQUEST_ID.fullmatch(given):
            return given.decode("ascii")
        return f"{self._prefix}-{next(self._numbers):x}"


def _method(request: Request) -> str:
    """OpenTelemetry's rule: what is not known is `_OTHER`, so that nobody can make up metrics."""
    return (
        request.method if request.method in ("GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH") else "_OTHER"
    )


def _sent_path(request: Request) -> str:
    """As it came: a colon within a model's name is escaped, and so none that a protocol has."""
    return request.scope["raw_path"].decode("latin-1")
