"""`python -m tasks.service.recorder`: writes what the workers captured to the store. It is started by the supervisor, and ends with it.

It inherits its end of a socket pair, by the descriptor that its argument names. Only this process of the service knows Parquet.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import time
from collections import deque
from typing import Any

import msgspec

from storage.errors import MillraceError
from storage.objects import ObjectStore, open_store
from storage.registry import open_registry
from tasks.captures.expiring import expire
from tasks.captures.packed import Shaper
from tasks.captures.redaction import Redaction
from tasks.captures.writing import Writer
from tasks.service.channel import Channel
from tasks.service.settings import CaptureSettings

FULL_BYTES = 8 * 2**20  # are written at once
UPKEEP_SECONDS = 3600.0
log = logging.getLogger(__name__)


class Recorder:
    """Holds batches until there are enough for a file, or the time has come; the supervisor bounds how many."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._channel = Channel({"begin": self._begin, "store": self._store, "flush": self._flush})
        self._held: deque[tuple[list[list[bytes]], asyncio.Future[None]]] = deque()
        self._bytes, self._due, self._ending = 0, asyncio.Event(), False
        self._work: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        """Until the supervisor is gone; what is held then is still written."""
        await self._channel.talk(self._end)
        await self._flush(None)

    async def _begin(self, told: dict[str, Any]) -> None:
        settings, store = msgspec.convert(told["settings"], CaptureSettings), open_store(told["storage"])
        shaper = Shaper(store, open_registry(store.url), Redaction(settings.redact, settings.patterns))
        writing = self._write_often(Writer(store, shaper), settings.seconds)
        self._work = [asyncio.ensure_future(one) for one in (writing, _keep_up(store, settings.keep_days))]

    async def _store(self, batch: list[list[bytes]]) -> None:
        """Return when a batch of requests and labels was written, or found impossible to write."""
        written = asyncio.get_running_loop().create_future()
        self._held.append((batch, written))
        self._bytes += _size(batch)
        if self._bytes >= FULL_BYTES or self._ending:
            self._due.set()
        await written

    async def _flush(self, _: Any) -> None:
        """Write all that is held, and from now on at once: the service ends."""
        self._ending = True
        self._due.set()
        while self._held and self._work:
            await asyncio.wait([self._held[-1][1]])

    async def _write_often(self, writer: Writer, seconds: float) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._due.wait()
            self._due.clear()
            try:
                while self._held:
                    await self._write(writer)
            except Exception:
                log.exception("capture: the recorder failed")
                os._exit(1)  # the supervisor starts another, and gives up what fails twice

    async def _write(self, writer: Writer) -> None:
        """Write the oldest batches, about as many as fit into one file."""
        some, size = list[tuple[list[list[bytes]], asyncio.Future[None]]](), 0
        while len(some) < len(self._held) and size < FULL_BYTES:
            some.append(self._held[len(some)])
            size += _size(some[-1][0])
        requests, labels = ([one for batch, _ in some for one in batch[place]] for place in (0, 1))
        written = await asyncio.to_thread(writer.write, requests, labels)
        self._channel.tell("written", [written.stored, written.dropped])
        for _, done in some:
            self._held.popleft()
            done.set_result(None)
        self._bytes -= size


async def _keep_up(store: ObjectStore, keep_days: float) -> None:
    """Remove what is too old, now and every hour."""
    while True:
        try:
            if gone := await asyncio.to_thread(expire, store, keep_days, time.time()):
                log.info("capture: %d objects older than %g days are deleted", gone, keep_days)
        except MillraceError as error:
            log.error("capture: what is older than %g days stays for now: %s", keep_days, error)
        await asyncio.sleep(UPKEEP_SECONDS)


def _size(batch: list[list[bytes]]) -> int:
    return sum(len(one) for kind in batch for one in kind)


def main(argv: list[str]) -> int:
    """Record what comes over the channel, whose descriptor is in `argv`."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # those that a terminal sends to all of us are for the supervisor
    end = socket.socket(fileno=int(argv[0]))

    async def run() -> None:
        await Recorder(end).run()
        sys.stderr.flush()
        os._exit(0)  # what the upkeep still does is done by the next one

    asyncio.run(run())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
