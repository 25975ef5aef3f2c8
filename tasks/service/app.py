"""The service as an ASGI application: which path does what."""

from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from tasks.service.completions import Completions
from tasks.service.guard import Guard
from tasks.service.items import decode_items
from tasks.service.limits import Limits, read_body
from tasks.service.metrics import Metrics, Observed
from tasks.service.models import Models
from tasks.service.prediction import predict_items
from tasks.service.refusals import JsonResponse, Refusal, error_response, refuse
from tasks.service.wishes import decode_order


@dataclass
class Service:
    """What the handlers share. `guard` None: no keys are asked for."""

    models: Models
    metrics: Metrics
    limits: Limits
    guard: Guard | None
    stopping: bool = False
    completions: Completions = field(init=False)

    def __post_init__(self) -> None:
        self.completions = Completions(self.limits)

    async def admit(self, request: Request) -> None:
        """Refusal unless the request carries a key for this model, where keys are asked for."""
        if self.guard is not None:
            await self.guard.admit(request, self.models.name)

    async def predict(self, request: Request) -> Response:
        """POST /predict"""
        await self.admit(request)
        items = decode_items(await read_body(request, self.limits), self.limits)
        model = self.models.current
        predictions = await predict_items(model, items, request)
        return JsonResponse({"prediction": predictions, "model": model.name, "version": model.number})

    async def complete(self, request: Request) -> Response:
        """POST /v1/completions"""
        await self.admit(request)
        body, model = await read_body(request, self.limits), self.models.current
        tokens = model.predictor.tokens
        if tokens is None:
            raise Refusal(404, f"model {model.name!r} completes no texts, it predicts; ask POST /predict")
        order = decode_order(body, self.limits, model.name, tokens)
        return await self.completions.answer(model, order, request, self.metrics.completion_tokens.inc)

    async def list_models(self, request: Request) -> Response:
        """GET /v1/models: the one that serves, in the form of OpenAI's API."""
        await self.admit(request)
        model = self.models.current
        entry = {"id": model.name, "object": "model", "created": model.created, "owned_by": "millrace"}
        return JsonResponse({"object": "list", "data": [entry]})

    async def index(self, request: Request) -> Response:
        """GET /"""
        paths = {"predict": "/predict", "health": "/healthz", "ready": "/readyz", "metrics": "/metrics"}
        if self.models.current.predictor.tokens is not None:
            paths |= {"completions": "/v1/completions", "models": "/v1/models"}
        return JsonResponse({"service": "millrace", "model": self.models.name, **paths, "openapi": "/openapi.json"})

    async def health(self, request: Request) -> Response:
        """GET /healthz: the process answers."""
        return JsonResponse({"status": "ok"})

    async def ready(self, request: Request) -> Response:
        """GET /readyz: send requests here, or no longer."""
        if self.stopping:
            return JsonResponse({"status": "stopping"}, 503)
        return JsonResponse({"status": "ready", "model": self.models.name, "version": self.models.current.number})

    async def show_metrics(self, request: Request) -> Response:
        """GET /metrics"""
        await self.admit(request)
        return Response(self.metrics.text(), media_type="text/plain; version=0.0.4")

    async def openapi(self, request: Request) -> Response:
        """GET /openapi.json: holds an item from the training rows, and so needs a key where there are keys."""
        await self.admit(request)
        return JsonResponse(self.models.current.openapi)


def make_app(service: Service) -> Observed:
    """The ASGI application over `service`."""
    routes = [
        Route("/predict", service.predict, methods=["POST"]),
        Route("/v1/completions", service.complete, methods=["POST"]),
        Route("/v1/models", service.list_models),
        Route("/", service.index),
        Route("/healthz", service.health),
        Route("/readyz", service.ready),
        Route("/metrics", service.show_metrics),
        Route("/openapi.json", service.openapi),
    ]
    handlers = {Refusal: refuse, HTTPException: _refuse_http, ClientDisconnect: _nobody_left, Exception: _failed}
    app = Starlette(routes=routes, exception_handlers=handlers)
    app.router.redirect_slashes = False
    return Observed(app, service.metrics)


async def _refuse_http(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    return error_response(error.status_code, error.detail.lower(), headers=error.headers)


async def _nobody_left(request: Request, error: Exception) -> Response:
    return Response(status_code=499)  # nginx's code for a client that went away; nobody reads it


async def _failed(request: Request, error: Exception) -> Response:
    return error_response(500, "the service failed; its log says more")
