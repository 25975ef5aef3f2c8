"""Texts gone on with by a language model, computed in threads, piece by piece; one whose client has gone is given up at the next token."""

import asyncio
import logging
import threading
import time
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass, field

from tasks.inference.wishes import Wish
from tasks.service.limits import Limits
from tasks.service.models import Served
from tasks.service.refusals import Refusal
from tasks.service.tally import Tally

RETRY = {"retry-after": "1"}
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Piece:
    """Text of choice `index`; with `finish_reason` its last one, which knows its tokens and the seconds they took."""

    index: int
    text: str
    finish_reason: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0


@dataclass
class Writers:
    """The threads that write, and how many requests they have: as many at a time as `Limits.completions`, so many more may wait."""

    limits: Limits
    tally: Tally
    taken: int = 0
    _threads: ThreadPoolExecutor = field(init=False)

    def __post_init__(self) -> None:
        self._threads = ThreadPoolExecutor(self.limits.completions, "complete")

    def room(self) -> None:
        """Refusal 503 where too many wait already."""
        if self.taken >= self.limits.completions + self.limits.completions_waiting:
            raise Refusal(503, f"found {self.taken} completions under way; try again later", headers=RETRY)

    async def pieces(self, served: Served, wishes: list[Wish]) -> AsyncGenerator[Piece]:
        """The pieces of all choices, one choice after the other; closing it stops the thread."""
        loop, queue, gone = asyncio.get_running_loop(), asyncio.Queue[Piece | Exception | None](), threading.Event()

        def put(item: Piece | Exception | None) -> None:
            if not gone.is_set():
                loop.call_soon_threadsafe(queue.put_nowait, item)

        self.taken += 1
        work = self._threads.submit(_write, served, wishes, put, gone)
        try:
            while (item := await queue.get()) is not None:
                if isinstance(item, Exception):
                    log.error("a completion failed: %r", item)
                    raise Refusal(500, "the model failed on it; the service's log says more")
                self.tally.count("millrace_completion_tokens", served.name, by=item.completion_tokens)
                yield item
        finally:
            gone.set()
            work.cancel()
            self.taken -= 1

    async def whole(self, served: Served, wishes: list[Wish]) -> tuple[list[str], list[Piece]]:
        """Each choice's text, and its last piece."""
        texts, ends = [""] * len(wishes), list[Piece]()
        async with aclosing(self.pieces(served, wishes)) as pieces:
            async for piece in pieces:
                texts[piece.index] += piece.text
                if piece.finish_reason:
                    ends.append(piece)
        return texts, ends


def _write(
    served: Served, wishes: list[Wish], put: Callable[[Piece | Exception | None], None], gone: threading.Event
) -> None:
    """Write in this thread, as long as somebody listens."""
    try:
        for index, wish in enumerate(wishes):
            started, generation = time.monotonic(), served.runtime.generate(wish)
            for text in generation:
                if gone.is_set():
                    return
                put(Piece(index, text))
            tokens = generation.prompt_tokens, generation.completion_tokens
            put(Piece(index, "", generation.finish_reason, *tokens, time.monotonic() - started))
    except Exception as error:  # noqa: BLE001  whatever a prompt provokes is that request's answer
        put(error)
    else:
        put(None)
