"""What tells of the service itself: health, metrics, the status page, the OpenAPI document."""

import base64
import hashlib
from pathlib import Path

from tasks.service.exchange import Answer, Request, json_answer
from tasks.service.exposition import CONTENT_TYPE
from tasks.service.grants import not_found
from tasks.service.openapi import document
from tasks.service.service import Service

PAGE = Path(__file__).with_name("status.html").read_bytes()


def _policy(page: bytes) -> str:
    """The page may run and look as it does, ask this service, and nothing else: https://www.w3.org/TR/CSP3/."""
    parts = {
        name: page.partition(f"<{name}>".encode())[2].partition(f"</{name}>".encode())[0]
        for name in ("style", "script")
    }
    hashes = {name: base64.b64encode(hashlib.sha256(part).digest()).decode() for name, part in parts.items()}
    return (
        f"default-src 'none'; style-src 'sha256-{hashes['style']}'; script-src 'sha256-{hashes['script']}'; connect-src 'self'; "
        "img-src data:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    )


PAGE_HEADERS = {
    "content-security-policy": _policy(PAGE),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}


async def index(service: Service, request: Request) -> Answer:
    """GET /"""
    paths = {
        "predict": "/predict",
        "feedback": "/feedback",
        "health": "/healthz",
        "ready": "/readyz",
        "metrics": "/metrics",
    }
    protocols = {
        "tensorflow": "/v1/models/{model}:predict",
        "open_inference": "/v2/models/{model}/infer",
        "openai": "/v1",
    }
    name = next(iter(service.models.routes), "")
    model = {} if service.grants.with_keys else {"model": name}
    return json_answer(
        {"service": "millrace", **model, **paths, **protocols, "status": "/status", "openapi": "/openapi.json"}
    )


async def health(service: Service, request: Request) -> Answer:
    """GET /healthz: the process answers."""
    return json_answer({"status": "ok"})


async def live(service: Service, request: Request) -> Answer:
    """GET /v2/health/live"""
    return Answer(b"")


async def ready(service: Service, request: Request) -> Answer:
    """GET /readyz, /v2/health/ready: send requests here, or no longer. Names and versions only where everybody may know them."""
    if service.stopping or not service.models.ready:
        return json_answer({"status": "stopping" if service.stopping else "starting"}, 503)
    if service.grants.with_keys:
        return json_answer({"status": "ready"})
    versions = {name: route.champion for name, route in service.models.routes.items()}
    name, number = next(iter(versions.items()))
    return json_answer({"status": "ready", "model": name, "version": number, "models": versions})


async def metrics(service: Service, request: Request) -> Answer:
    """GET /metrics: of all workers, in Prometheus' text format."""
    await _admit(service, request)
    return Answer(await service.channel.ask("metrics"), kind=CONTENT_TYPE.encode())


async def status(service: Service, request: Request) -> Answer:
    """GET /status.json: what the status page shows."""
    await _admit(service, request)
    return json_answer(await service.channel.ask("status"), headers={"cache-control": "no-store"})


async def page(service: Service, request: Request) -> Answer:
    """GET /status: the page itself holds no data; it asks for them with the key that it is given."""
    return Answer(PAGE, kind=b"text/html; charset=utf-8", headers=PAGE_HEADERS)


async def openapi(service: Service, request: Request) -> Answer:
    """GET /openapi.json: holds items from the training rows, and so only those of models that this key may use."""
    grant = await service.grants.admit(request)
    described = {
        route.model: (await service.models.load(route.model, route.champion)).runtime.transforms.describe()
        for name, route in service.models.routes.items()
        if grant.allows("predict", name)
    }
    return json_answer(document(described, service.limits.items, service.grants.with_keys))


async def _admit(service: Service, request: Request) -> None:
    grant = await service.grants.admit(request)
    if not grant.allows("metrics", ""):
        raise not_found()
