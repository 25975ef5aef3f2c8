"""All paths of the service: what clients may ask for, by whom it is answered."""

import functools
from collections.abc import Sequence

from tasks.service import overview
from tasks.service.app import Handler, Path
from tasks.service.protocols import open_inference, openai, simple, tensorflow
from tasks.service.service import Service

PLACES = ("", "/versions/{version}", "/labels/{label}")


def paths(service: Service) -> Sequence[Path]:
    """For the application, those asked for most first."""
    listed: list[tuple[str, str, Handler]] = [
        ("POST", "/predict", simple.predict),
        ("POST", "/feedback", simple.feedback),
        ("POST", "/v1/completions", openai.complete),
        ("POST", "/v1/chat/completions", openai.chat),
        ("GET", "/v1/models", openai.models),
        ("GET", "/v2", open_inference.server),
        ("GET", "/v2/health/live", overview.live),
        ("GET", "/v2/health/ready", overview.ready),
        ("POST", "/v2/repository/index", open_inference.repository),
        ("GET", "/", overview.index),
        ("GET", "/healthz", overview.health),
        ("GET", "/readyz", overview.ready),
        ("GET", "/metrics", overview.metrics),
        ("GET", "/status", overview.page),
        ("GET", "/status.json", overview.status),
        ("GET", "/openapi.json", overview.openapi),
    ]
    for place in PLACES:
        listed.append(("POST", f"/v1/models/{{model}}{place}:predict", tensorflow.predict))
        listed.append(("GET", f"/v1/models/{{model}}{place}", tensorflow.status))
        listed.append(("GET", f"/v1/models/{{model}}{place}/metadata", tensorflow.metadata))
    for place in PLACES[:2]:
        listed.append(("POST", f"/v2/models/{{model}}{place}/infer", open_inference.infer))
        listed.append(("GET", f"/v2/models/{{model}}{place}", open_inference.metadata))
        listed.append(("GET", f"/v2/models/{{model}}{place}/config", open_inference.config))
        listed.append(("GET", f"/v2/models/{{model}}{place}/ready", open_inference.model_ready))
    return [Path(method, pattern, functools.partial(handle, service)) for method, pattern, handle in listed]
