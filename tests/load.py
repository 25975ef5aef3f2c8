"""Many clients in one thread: each sends its next request when its last one is answered, over a connection that it keeps."""

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Answer:
    """`status` 0: the connection broke. Times in seconds since 1970."""

    sent: float
    done: float
    status: int
    body: Any
    number: int
    request_id: str


@dataclass
class Load:
    """What the clients have met so far. `headers` may be replaced while they run."""

    url: str
    bodies: Sequence[Any]
    headers: Mapping[str, str]
    answers: list[Answer] = field(default_factory=list)
    on_answer: Callable[[Answer], tuple[str, Any] | None] | None = None
    _stop: threading.Event = field(default_factory=threading.Event)

    @property
    def statuses(self) -> Counter[int]:
        return Counter(answer.status for answer in self.answers)

    async def run(self, clients: int) -> None:
        await asyncio.gather(*(self._client(number, clients) for number in range(clients)))

    async def _client(self, number: int, clients: int) -> None:
        place = urlsplit(self.url)
        reader = writer = None
        while not self._stop.is_set():
            if reader is None or writer is None:
                reader, writer = await asyncio.open_connection(place.hostname, place.port)
            answer = await self._ask(reader, writer, place.path, self.bodies[number % len(self.bodies)], number)
            self.answers.append(answer)
            if answer.status == 0:
                writer.close()
                reader = writer = None
            elif self.on_answer and (follow := self.on_answer(answer)):
                await self._ask(reader, writer, *follow, number)
            number += clients
        if writer:
            writer.close()

    async def _ask(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str, body: Any, number: int
    ) -> Answer:
        content, sent = json.dumps(body).encode(), time.time()
        lines = [
            f"POST {path} HTTP/1.1",
            "Host: x",
            f"Content-Length: {len(content)}",
            "Content-Type: application/json",
        ]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        try:
            writer.write("\r\n".join([*lines, "", ""]).encode() + content)
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
            told = json.loads(await reader.readexactly(length))
        except (OSError, asyncio.IncompleteReadError, ValueError):
            return Answer(sent, time.time(), 0, None, number, "")
        request_id = head.partition("x-request-id: ")[2].partition("\r\n")[0]
        return Answer(sent, time.time(), int(head[9:12]), told, number, request_id)


@contextmanager
def loaded(
    url: str,
    bodies: Sequence[Any],
    clients: int,
    headers: Mapping[str, str] | None = None,
    on_answer: Callable[[Answer], tuple[str, Any] | None] | None = None,
) -> Iterator[Load]:
    """`clients` ask `url` for the bodies, in turn, while the block runs. `on_answer` may name a path and a body to send after an answer."""
    load = Load(url, bodies, headers or {}, on_answer=on_answer)
    thread = threading.Thread(target=lambda: asyncio.run(load.run(clients)))
    thread.start()
    try:
        yield load
    finally:
        load._stop.set()
        thread.join(60)
