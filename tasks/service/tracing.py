"""Whether requests are traced: where OpenTelemetry's own variables name a collector, and only then is its library needed.

https://opentelemetry.io/docs/specs/otel/protocol/exporter/, https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

import importlib.util
import os
from typing import TYPE_CHECKING

from storage.errors import ConfigError

if TYPE_CHECKING:
    from tasks.service.spans import Spans

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
PACKAGES = {
    "opentelemetry.sdk": "opentelemetry-sdk",
    "opentelemetry.exporter.otlp.proto.http": "opentelemetry-exporter-otlp-proto-http",
}


def check_tracing() -> None:
    """ConfigError where traces are wanted and cannot be sent."""
    endpoint = _endpoint()
    if not endpoint:
        return
    for name in PROTOCOLS:
        if (found := os.environ.get(name, "http/protobuf")) != "http/protobuf":
            raise ConfigError(f"{name}: found {found!r}, wanted http/protobuf, or leave it out")
    missing = [package for module, package in PACKAGES.items() if not _is_installed(module)]
    if missing:
        raise ConfigError(
            f"{endpoint}: found no {' and no '.join(missing)} to send traces with; pip install {' '.join(missing)}"
        )


def open_tracing() -> "Spans | None":
    """What writes spans, None where no traces are wanted."""
    if not _endpoint():
        return None
    from tasks.service.spans import Spans

    return Spans()


def _endpoint() -> str:
    """The variable that names a collector, unless traces are turned off."""
    off = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or os.environ.get("OTEL_TRACES_EXPORTER") == "none"
    return "" if off else next((name for name in ENDPOINTS if os.environ.get(name)), "")


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # nor the package around it
        return False
