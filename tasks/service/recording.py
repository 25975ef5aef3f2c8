"""The recorder as the supervisor sees it: started when there is something to record, started again when it dies, given batches.

What it has not written yet is held here too, up to a bound: so a recorder that dies loses nothing, and what is above the bound is dropped
and counted. A batch that it had written just before it died is written twice.
"""

import asyncio
import contextlib
import logging
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from storage.errors import MillraceError, ProcessLost
from tasks.service.channel import Channel
from tasks.service.settings import CaptureSettings
from tasks.service.tally import Tally

TRIES = 2  # with as many recorders: a batch that kills them must not do so for ever
PAUSE_SECONDS = (0.0, 0.5, 2.0, 10.0, 30.0)  # before a start, by how many recorders have ended in a row
STEADY_SECONDS = 60.0  # a recorder that lived so long was all right
LONGEST_SECONDS = 600.0  # the store's own patience ends much sooner
log = logging.getLogger(__name__)


@dataclass
class Batch:
    """Packed requests and labels, and how many requests there are of each model."""

    requests: list[bytes]
    labels: list[bytes]
    counts: Mapping[str, int]

    @property
    def size(self) -> int:
        """In bytes."""
        return sum(map(len, self.requests)) + sum(map(len, self.labels))


class Recording:
    """Has batches stored in `storage`. `tally` is told of requests that are stored, and of those that are not."""

    def __init__(self, storage: str, settings: CaptureSettings, tally: Tally) -> None:
        self._told = {"storage": storage, "settings": msgspec.to_builtins(settings)}
        self._tally, self._most = tally, round(settings.buffer_mib * 2**20)
        self._bytes, self._ended, self._ending = 0, 0, False
        self._process: subprocess.Popen[bytes] | None = None
        self._channel = Channel({})
        self._talking: asyncio.Future[None] | None = None
        self._starting = asyncio.Lock()
        self._storing: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Start the recorder, so that the first batch need not wait for it."""
        with contextlib.suppress(ProcessLost):  # it was logged, and each batch tries again
            await self._ready()

    def offer(self, batch: Batch) -> bool:
        """Take a batch to be stored; False where too much waits already."""
        if self._bytes + batch.size > self._most:
            self._drop(batch)
            return False
        self._bytes += batch.size
        task = asyncio.ensure_future(self._store(batch))
        self._storing.add(task)
        task.add_done_callback(self._storing.discard)
        return True

    def keep(self, request_id: str, labels: list[Any], scopes: list[str]) -> dict[str, Any]:
        """Keep labels for a request that no worker remembers, for the models that `scopes` allow; the answer to who told them."""
        models = [scope.partition(":")[2] for scope in scopes if scope.startswith("feedback:")]
        packed = msgspec.msgpack.encode([time.time(), request_id, "", 0, labels, models])
        if self.offer(Batch([], [packed], {})):
            return {"model": None, "version": None, "kept": True}
        return {"refused": 503, "message": "too many labels wait to be stored; tell them again later"}

    async def stop(self, seconds: float) -> None:
        """Have everything written that was taken, and end."""
        self._ending = True
        self._channel.tell("flush")
        if self._storing:
            await asyncio.wait(self._storing, timeout=seconds)
        if self._storing:
            log.error("capture: %d batches could not be written in %g s", len(self._storing), seconds)
        self.kill()

    def kill(self) -> None:
        """End at once."""
        for task in self._storing:
            task.cancel()
        if self._process:
            self._process.kill()
            self._process.wait()

    async def _store(self, batch: Batch) -> None:
        try:
            for _ in range(TRIES):
                with contextlib.suppress(ProcessLost):
                    channel = await self._ready()
                    await channel.ask("store", [batch.requests, batch.labels], LONGEST_SECONDS)
                    return
            self._drop(batch)
        except (MillraceError, TimeoutError) as error:
            log.error("capture: %s", error)
            self._drop(batch)
        finally:
            self._bytes -= batch.size

    async def _ready(self) -> Channel:
        """The channel to a recorder that has begun; ProcessLost where none can be started."""
        async with self._starting:
            if self._talking is None or self._talking.done():
                await asyncio.sleep(PAUSE_SECONDS[min(self._ended, len(PAUSE_SECONDS) - 1)])
                await self._start()
            return self._channel

    async def _start(self) -> None:
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-P", "-m", "tasks.service.recorder", str(theirs.fileno())]
        process = self._process = subprocess.Popen(
            command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        theirs.close()
        self._channel = Channel({"written": self._count})
        self._talking = asyncio.ensure_future(self._channel.talk(ours))
        begun = time.monotonic()
        self._talking.add_done_callback(lambda _: self._gone(process, begun))
        try:
            await self._channel.ask("begin", self._told)
        except (MillraceError, TimeoutError) as error:
            log.error("capture: the recorder cannot begin: %s", error)
            process.kill()
            await self._talking
            raise ProcessLost("the recorder cannot begin") from None
        if self._ending:
            self._channel.tell("flush")

    def _gone(self, process: subprocess.Popen[bytes], begun: float) -> None:
        process.kill()
        code = process.wait()
        self._ended = self._ended + 1 if time.monotonic() - begun < STEADY_SECONDS else 0
        if not self._ending:
            log.error("capture: the recorder %d ended (%s); another is started", process.pid, code)

    async def _count(self, told: list[dict[str, int]]) -> None:
        for outcome, counts in zip(("stored", "dropped"), told, strict=True):
            for model, number in counts.items():
                self._tally.count("millrace_captured", model, outcome, by=number)

    def _drop(self, batch: Batch) -> None:
        for model, number in batch.counts.items():
            self._tally.count("millrace_captured", model, "dropped", by=number)
