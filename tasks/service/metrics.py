"""What the service counts, as Prometheus reads it; and the access log."""

import logging
import time

import orjson
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
access = logging.getLogger("millrace.access")


class Metrics:
    """One service's counters, in a registry of their own."""

    def __init__(self) -> None:
        self._all = CollectorRegistry()
        self.requests = Counter("millrace_requests", "Requests answered", ["code"], registry=self._all)
        self.seconds = Histogram(
            "millrace_request_duration_seconds", "From headers to answer", buckets=SECONDS, registry=self._all
        )
        self.batch_rows = Histogram("millrace_batch_rows", "Rows in one forward", buckets=ROWS, registry=self._all)
        self.queued_rows = Gauge("millrace_queue_rows", "Rows waiting for the model", registry=self._all)
        self.completion_tokens = Counter("millrace_completion_tokens", "Tokens written", registry=self._all)
        self.version = Gauge("millrace_model_version", "Version that serves", ["model"], registry=self._all)
        self.swaps = Counter("millrace_swaps", "Attempts to load another version", ["outcome"], registry=self._all)
        for outcome in ("done", "refused"):
            self.swaps.labels(outcome)

    def text(self) -> bytes:
        """In Prometheus' text format."""
        return generate_latest(self._all)


class Observed:
    """ASGI middleware: counts and times each request, and writes a line of JSON for it to the access log."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 499  # nobody was left to answer

        async def note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, note_status)
        finally:
            seconds = time.perf_counter() - started
            self._metrics.requests.labels(str(status)).inc()
            self._metrics.seconds.observe(seconds)
            if access.isEnabledFor(logging.INFO):
                access.info(_line(scope, status, seconds))


def _line(scope: Scope, status: int, seconds: float) -> str:
    """One line, whatever the path: it is shown as it was sent, with its escapes."""
    client = scope.get("client")
    fields = {
        "time": round(time.time(), 3),
        "client": client[0] if client else None,
        "method": scope["method"],
        "path": scope["raw_path"][:200].decode("ascii", "replace"),
        "status": status,
        "duration_ms": round(seconds * 1000, 3),
    }
    return orjson.dumps(fields).decode()
