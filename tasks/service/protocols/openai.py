"""`/v1/completions`, `/v1/chat/completions` and `/v1/models` in the form of OpenAI's API; its own client works unchanged."""

import secrets
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

import msgspec
import orjson

from tasks.service.exchange import Answer, EventStream, Request, json_answer
from tasks.service.generating import Piece
from tasks.service.grants import not_found
from tasks.service.items import decode
from tasks.service.limits import read_body
from tasks.service.models import Served
from tasks.service.predicting import unless_gone
from tasks.service.protocols.tensorflow import openai_description
from tasks.service.protocols.wishes import CHAT, COMPLETION, Chat, Completion, Wanted, check
from tasks.service.refusals import Refusal
from tasks.service.service import Service

Choice = Callable[[int, str, str | None], dict[str, Any]]
_completion = msgspec.json.Decoder(Completion)
_chat = msgspec.json.Decoder(Chat)


async def complete(service: Service, request: Request) -> Answer | EventStream:
    """POST /v1/completions"""
    grant = await service.grants.admit(request)
    order = decode(_completion, await read_body(request, service.limits), COMPLETION)
    served = await _served(service, request, grant, order)
    head = _head("cmpl", "text_completion", served)
    prefix = [wish.prompt if order.echo else "" for wish in order.wishes()]
    if order.stream:
        return EventStream(_events(service, request, served, order, head, _text_choice, prefix))
    return await unless_gone(_whole(service, request, served, order, head, _text_choice, prefix), request)


async def chat(service: Service, request: Request) -> Answer | EventStream:
    """POST /v1/chat/completions: our models are trained on texts, so the conversation is one, and the answer what follows."""
    grant = await service.grants.admit(request)
    order = decode(_chat, await read_body(request, service.limits), CHAT)
    served = await _served(service, request, grant, order)
    if not order.stop:
        order.stop = ["\n\nuser:", "\n\nsystem:"]
    prefix = [""] * len(order.wishes())
    if order.stream:
        head = _head("chatcmpl", "chat.completion.chunk", served)
        return EventStream(_events(service, request, served, order, head, _delta_choice, prefix))
    head = _head("chatcmpl", "chat.completion", served)
    return await unless_gone(_whole(service, request, served, order, head, _message_choice, prefix), request)


async def models(service: Service, request: Request) -> Answer:
    """GET /v1/models: those that this key may use."""
    grant = await service.grants.admit(request)
    routes = [route for name, route in service.models.routes.items() if grant.allows("predict", name)]
    listed = [openai_description(await service.models.load(route.model, route.champion)) for route in routes]
    return json_answer({"object": "list", "data": listed})


async def _served(service: Service, request: Request, grant: Any, order: Wanted) -> Served:
    route = service.models.routes.get(order.model) if order.model else service.models.route("")
    if route is None or not grant.allows("predict", route.model):
        raise (
            Refusal(404, f"model: found {order.model[:80]!r}, wanted one that /v1/models lists")
            if order.model
            else not_found()
        )
    served = await service.models.pick(request, route, None)
    if served.runtime.tokens is None:
        raise Refusal(404, f"model {served.name!r} completes no texts, it predicts; ask POST /predict")
    check(order, service.limits, served.runtime.tokens)
    service.writers.room()
    return served


def _head(prefix: str, kind: str, served: Served) -> dict[str, Any]:
    head = {"id": f"{prefix}-{secrets.token_hex(12)}", "object": kind, "created": int(time.time())}
    return {**head, "model": served.name, "system_fingerprint": f"version {served.number}"}


async def _whole(
    service: Service,
    request: Request,
    served: Served,
    order: Wanted,
    head: dict[str, Any],
    choice: Choice,
    prefix: list[str],
) -> Answer:
    try:
        texts, ends = await service.writers.whole(served, order.wishes())
    except Refusal as refusal:
        service.notes.refused(request, served, refusal)
        raise
    service.notes.completed(request, served, ends)
    choices = [choice(end.index, prefix[end.index] + texts[end.index], end.finish_reason) for end in ends]
    return json_answer({**head, "choices": choices, "usage": _usage(ends, order.n or 1)})


async def _events(
    service: Service,
    request: Request,
    served: Served,
    order: Wanted,
    head: dict[str, Any],
    choice: Choice,
    prefix: list[str],
) -> AsyncGenerator[bytes]:
    begun, ends = set[int](), list[Piece]()
    try:
        async with aclosing(service.writers.pieces(served, order.wishes())) as pieces:
            async for piece in pieces:
                text = piece.text if piece.index in begun else prefix[piece.index] + piece.text
                begun.add(piece.index)
                if piece.finish_reason:
                    ends.append(piece)
                yield _event({**head, "choices": [choice(piece.index, text, piece.finish_reason)]})
    except Refusal as error:  # the status is sent already
        service.notes.refused(request, served, error)
        yield _event({"error": {"message": error.message}})
        return
    service.notes.completed(request, served, ends)
    if order.wants_usage:
        yield _event({**head, "choices": [], "usage": _usage(ends, order.n or 1)})
    yield b"data: [DONE]\n\n"


def _text_choice(index: int, text: str, finish_reason: str | None) -> dict[str, Any]:
    return {"text": text, "index": index, "logprobs": None, "finish_reason": finish_reason}


def _message_choice(index: int, text: str, finish_reason: str | None) -> dict[str, Any]:
    message = {"role": "assistant", "content": text.strip(), "refusal": None}
    return {"index": index, "message": message, "logprobs": None, "finish_reason": finish_reason}


def _delta_choice(index: int, text: str, finish_reason: str | None) -> dict[str, Any]:
    return {
        "index": index,
        "delta": {"role": "assistant", "content": text},
        "logprobs": None,
        "finish_reason": finish_reason,
    }


def _usage(ends: list[Piece], choices_each: int) -> dict[str, int]:
    """A prompt counts once, however many choices it has."""
    prompt = sum(end.prompt_tokens for end in ends[::choices_each])
    completion = sum(end.completion_tokens for end in ends)
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _event(data: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(data) + b"\n\n"
