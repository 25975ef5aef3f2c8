"""POST /v1/completions: texts gone on with by the language model that serves, in the form of OpenAI's API.

https://platform.openai.com/docs/api-reference/completions. Each request is computed in a thread; as many at a time as
`Limits.completions`, and so many more may wait as `Limits.completions_waiting`. One whose client has gone is given up at the next token.
"""

import asyncio
import logging
import secrets
import threading
import time
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from tasks.inference.generation import Generation, Wish
from tasks.service.limits import Limits
from tasks.service.models import Served
from tasks.service.prediction import unless_gone
from tasks.service.refusals import JsonResponse, Refusal
from tasks.service.wishes import Order

RETRY = {"retry-after": "1"}
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Piece:
    """Text of choice `index`; with `finish_reason` its last one, which knows its tokens."""

    index: int
    text: str
    finish_reason: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass
class Completions:
    """The threads that complete, and how many requests they have."""

    limits: Limits
    taken: int = 0
    _threads: ThreadPoolExecutor = field(init=False)

    def __post_init__(self) -> None:
        self._threads = ThreadPoolExecutor(self.limits.completions, "complete")

    async def answer(self, model: Served, order: Order, request: Request, count: Callable[[int], None]) -> Response:
        """The response to `order`, whole or as server-sent events. `count` is told the tokens of each choice."""
        if self.taken >= self.limits.completions + self.limits.completions_waiting:
            raise Refusal(503, f"found {self.taken} completions under way; try again later", headers=RETRY)
        head = {"id": f"cmpl-{secrets.token_hex(12)}", "object": "text_completion", "created": int(time.time())}
        head |= {"model": model.name, "system_fingerprint": f"version {model.number}"}
        if order.stream:
            return StreamingResponse(self._events(model, order, head, count), media_type="text/event-stream")
        return await unless_gone(self._whole(model, order, head, count), request)

    async def _whole(
        self, model: Served, order: Order, head: dict[str, Any], count: Callable[[int], None]
    ) -> JsonResponse:
        wishes = order.wishes()
        texts = [wish.prompt if order.echo else "" for wish in wishes]
        ends: list[Piece] = []
        async with aclosing(self._pieces(model, wishes)) as pieces:
            async for piece in pieces:
                texts[piece.index] += piece.text
                if piece.finish_reason:
                    ends.append(piece)
                    count(piece.completion_tokens)
        choices = [_choice(end.index, texts[end.index], end.finish_reason) for end in ends]
        return JsonResponse({**head, "choices": choices, "usage": _usage(ends, order.n)})

    async def _events(
        self, model: Served, order: Order, head: dict[str, Any], count: Callable[[int], None]
    ) -> AsyncGenerator[bytes]:
        wishes, begun, ends = order.wishes(), set[int](), list[Piece]()
        try:
            async with aclosing(self._pieces(model, wishes)) as pieces:
                async for piece in pieces:
                    echo = wishes[piece.index].prompt if order.echo and piece.index not in begun else ""
                    begun.add(piece.index)
                    if piece.finish_reason:
                        ends.append(piece)
                        count(piece.completion_tokens)
                    choice = _choice(piece.index, echo + piece.text, piece.finish_reason)
                    yield _event({**head, "choices": [choice]})
        except Refusal as error:  # the status is sent already
            yield _event({"error": {"message": error.message}})
            return
        if order.wants_usage:
            yield _event({**head, "choices": [], "usage": _usage(ends, order.n)})
        yield b"data: [DONE]\n\n"

    async def _pieces(self, model: Served, wishes: list[Wish]) -> AsyncGenerator[Piece]:
        """The pieces of all choices, one choice after the other; closing it stops the thread."""
        loop, queue, gone = asyncio.get_running_loop(), asyncio.Queue[Piece | Exception | None](), threading.Event()

        def put(item: Piece | Exception | None) -> None:
            if not gone.is_set():
                loop.call_soon_threadsafe(queue.put_nowait, item)

        self.taken += 1
        work = self._threads.submit(_complete, model, wishes, put, gone)
        try:
            while (item := await queue.get()) is not None:
                if isinstance(item, Exception):
                    log.error("a completion failed: %r", item)
                    raise Refusal(500, "the model failed on it; the service's log says more")
                yield item
        finally:
            gone.set()
            work.cancel()
            self.taken -= 1


def _complete(
    model: Served, wishes: list[Wish], put: Callable[[Piece | Exception | None], None], gone: threading.Event
) -> None:
    """Complete in this thread, as long as somebody listens."""
    try:
        for index, wish in enumerate(wishes):
            generation = Generation(model.predictor, wish)
            for text in generation:
                if gone.is_set():
                    return
                put(Piece(index, text))
            tokens = generation.prompt_tokens, generation.completion_tokens
            put(Piece(index, "", generation.finish_reason, *tokens))
    except Exception as error:  # noqa: BLE001  whatever a prompt provokes is that request's answer
        put(error)
    else:
        put(None)


def _choice(index: int, text: str, finish_reason: str | None) -> dict[str, Any]:
    return {"text": text, "index": index, "logprobs": None, "finish_reason": finish_reason}


def _usage(ends: list[Piece], choices_each: int) -> dict[str, int]:
    """A prompt counts once, however many choices it has."""
    prompt = sum(end.prompt_tokens for end in ends[::choices_each])
    completion = sum(end.completion_tokens for end in ends)
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _event(data: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(data) + b"\n\n"
