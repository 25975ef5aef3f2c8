"""Traces: sent to a real collector's address in OpenTelemetry's form, where its variables ask for them."""

import gzip
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from handmade import ITEMS, iris_store, serving

from storage.errors import ConfigError
from tasks.service import tracing

TRACE, PARENT = (
    "0af7651916cd43dd8448eb211c80319c",
    "b7ad6b7169203331",
)  # the example of https://www.w3.org/TR/trace-context/


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """The requests that a collector received; this process's children send theirs to it."""
    reason = "needs OpenTelemetry's library: pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http"
    messages = pytest.importorskip("opentelemetry.proto.collector.trace.v1.trace_service_pb2", reason=reason)
    received: list[Any] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            body = gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body
            received.append(messages.ExportTraceServiceRequest.FromString(body))
            self.send_response(200 if self.path == "/v1/traces" else 404)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}")
        yield received
        server.shutdown()


def attributes(holder: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in holder.attributes}


def test_each_request_is_a_span_that_goes_on_with_its_clients_trace(tmp_path: Path, collector: list[Any]) -> None:
    store, _ = iris_store(tmp_path)
    with serving(store, tmp_path, "--workers", "1") as running:
        client = running.client
        headers = {"traceparent": f"00-{TRACE}-{PARENT}-01", "x-request-id": "request-1"}
        assert client.post("/predict", json={"input_data": ITEMS[:2]}, headers=headers).status_code == 200
        assert client.post("/predict", json={"input_data": ["?"]}).status_code == 422
        assert client.get("/healthz").status_code == 200  # is no part of anybody's work
        assert client.get("/nowhere").status_code == 404
        running.process.terminate()
        assert running.process.wait(30) == 0  # which sends the rest
    resources = [resource for request in collector for resource in request.resource_spans]
    assert {attributes(one.resource)["service.name"] for one in resources} == {"millrace"}
    spans = [span for resource in resources for scope in resource.scope_spans for span in scope.spans]
    assert sorted(span.name for span in spans) == ["GET", "POST /predict", "POST /predict", "forward", "queue"]
    served = next(span for span in spans if span.parent_span_id.hex() == PARENT)
    assert served.trace_id.hex() == TRACE
    assert served.kind == served.SpanKind.SPAN_KIND_SERVER
    told = attributes(served)
    wanted = {"http.request.method": "POST", "http.route": "/predict", "http.response.status_code": 200}
    wanted |= {"millrace.model": "iris", "millrace.version": 1, "millrace.role": "champion"}
    assert wanted.items() <= told.items()
    parts = [span for span in spans if span.name in ("queue", "forward")]
    assert {span.parent_span_id for span in parts} == {served.span_id}
    for span in parts:
        assert served.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano
        assert span.end_time_unix_nano <= served.end_time_unix_nano
    refused = next(span for span in spans if span.name == "POST /predict" and span is not served)
    assert attributes(refused)["http.response.status_code"] == 422
    assert refused.trace_id != served.trace_id


def test_a_trace_that_its_client_does_not_keep_is_not_sent(tmp_path: Path, collector: list[Any]) -> None:
    store, _ = iris_store(tmp_path)
    with serving(store, tmp_path, "--workers", "1") as running:
        headers = {"traceparent": f"00-{TRACE}-{PARENT}-00"}
        assert running.client.post("/predict", json={"input_data": ITEMS[:1]}, headers=headers).status_code == 200
        running.process.terminate()
        assert running.process.wait(30) == 0
    assert collector == []


def test_a_library_that_is_not_there_is_named_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "PACKAGES", {"nobody.has_this": "nobody-has-this"})
    tracing.check_tracing()  # nobody asked for traces
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
    with pytest.raises(ConfigError, match=r"OTEL_EXPORTER_OTLP_ENDPOINT: .* pip install nobody-has-this"):
        tracing.check_tracing()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    with pytest.raises(ConfigError, match="found 'grpc', wanted http/protobuf"):
        tracing.check_tracing()
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    tracing.check_tracing()
    assert tracing.open_tracing() is None
