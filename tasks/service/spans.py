"""Spans by OpenTelemetry's conventions for HTTP servers: https://opentelemetry.io/docs/specs/semconv/http/http-spans/.

A request's spans are made when it has been answered, and sent by a thread of the library's, some at a time.
"""

import threading
import time
from collections.abc import Mapping
from typing import Any

from opentelemetry import propagate
from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # pyright: ignore[reportMissingImports]
    OTLPSpanExporter,
)
from opentelemetry.propagators.textmap import Getter
from opentelemetry.sdk.resources import Resource  # pyright: ignore[reportMissingImports]
from opentelemetry.sdk.trace import TracerProvider  # pyright: ignore[reportMissingImports]
from opentelemetry.sdk.trace.export import BatchSpanProcessor  # pyright: ignore[reportMissingImports]
from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context

from tasks.service.exchange import Request

CLOSE_SECONDS = 3.0
UNTRACED = {"/healthz", "/readyz", "/v2/health/live", "/v2/health/ready", "/metrics", "/status", "/status.json"}


class _Headers(Getter[Mapping[bytes, bytes]]):
    def get(self, carrier: Mapping[bytes, bytes], key: str) -> list[str] | None:
        value = carrier.get(key.lower().encode("latin-1"))
        return None if value is None else [value.decode("latin-1")]

    def keys(self, carrier: Mapping[bytes, bytes]) -> list[str]:
        return [name.decode("latin-1") for name in carrier]


class Spans:
    """Where to, how many of them and under which name are OpenTelemetry's variables: `OTEL_SERVICE_NAME`, `OTEL_TRACES_SAMPLER`, …"""

    def __init__(self) -> None:
        resource = Resource.create()
        if str(resource.attributes["service.name"]).startswith("unknown_service"):
            resource = resource.merge(Resource({"service.name": "millrace"}))
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("millrace")
        self._headers = _Headers()

    def write(self, request: Request, status: int, seconds: float) -> None:
        """A request that ended just now with `status`, and how it waited for the model and was computed."""
        if request.route in UNTRACED:
            return
        end = time.time_ns()
        start = end - int(1e9 * seconds)
        context = propagate.extract(request.headers, getter=self._headers)
        name = f"{request.method[:20]} {request.route}".rstrip()
        attributes = _attributes(request, status)
        span = self._tracer.start_span(name, context, SpanKind.SERVER, attributes, start_time=start)
        if status >= 500:
            span.set_status(Status(StatusCode.ERROR))
        if request.timing and span.is_recording():
            self._write_parts(request.timing, set_span_in_context(span), start, end)
        span.end(end)

    def close(self) -> None:
        """Send what has not been sent, unless the collector takes too long. Blocks."""
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        closing.join(CLOSE_SECONDS)

    def _write_parts(self, timing: list[float], context: Any, start: int, end: int) -> None:
        """Child spans for the queue and the forward. They are kept within their parent."""
        since = time.time() - time.monotonic()
        came, begun, took = timing
        times = [min(max(int(1e9 * (since + at)), start), end) for at in (came, begun, begun + took)]
        for name, first, last in (("queue", times[0], times[1]), ("forward", times[1], times[2])):
            self._tracer.start_span(name, context, start_time=first).end(last)


def _attributes(request: Request, status: int) -> dict[str, Any]:
    attributes = {
        "http.request.method": request.method[:20],
        "http.response.status_code": status,
        "url.path": request.path[:200],
        "url.scheme": request.scope["scheme"],
        "client.address": request.address,
        "network.protocol.version": request.scope["http_version"],
        "http.request.header.x-request-id": [request.id],
    }
    if request.route:
        attributes["http.route"] = request.route
    if status >= 500:
        attributes["error.type"] = str(status)
    if request.key:
        attributes["millrace.key"] = request.key
    if request.model:
        attributes |= {
            "millrace.model": request.model,
            "millrace.version": request.version,
            "millrace.role": request.role,
        }
    return attributes
