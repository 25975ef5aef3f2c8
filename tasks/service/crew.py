"""The worker processes: started, asked together, started again when one ends by itself, stopped."""

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from storage.errors import MillraceError, ProcessFailed, ProcessLost
from tasks.service.channel import Channel, Handler
from tasks.service.tally import Tally

SHORT_SECONDS = 5.0  # a worker that ends sooner than that after its start fails again probably
MOST_FAILURES = 5  # in a row, where no other worker is left
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 30.0  # before another start, doubled with each failure
log = logging.getLogger(__name__)


@dataclass(eq=False)
class Worker:
    """One process, the channel to it, what it last reported, and how often it was looked at since then."""

    process: subprocess.Popen[bytes]
    channel: Channel
    started: float
    talking: "asyncio.Task[None] | None" = None
    tally: Tally = field(default_factory=Tally)
    silent: int = 0


Greet = Callable[[Worker], Awaitable[None]]


class Crew:
    """`count` workers on `listener`. `handlers`: what a worker may ask; they get the worker, then the value. `greet` tells a new one all."""

    def __init__(
        self,
        listener: socket.socket,
        count: int,
        handlers: dict[str, Callable[[Worker, Any], Awaitable[Any]]],
        greet: Greet,
    ) -> None:
        self._listener, self._count, self._handlers, self._greet = listener, count, handlers, greet
        self.workers: list[Worker] = []
        self.ready: set[Worker] = set()
        self.lost = Tally()
        self.stopping = False
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._failures = 0
        self._watching: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Start the processes; they load their libraries while they wait to be told."""
        for _ in range(self._count):
            self._start_one()

    async def greet_all(self) -> None:
        """Tell all that were started so far; the first failure is raised."""
        await asyncio.gather(*(self._welcome(worker) for worker in list(self.workers)))

    async def ask_all(self, name: str, value: Any = None, seconds: float = 600.0) -> list[Any]:
        """Every ready worker's answer; one that is lost meanwhile has none, another failure is raised."""
        answers = await asyncio.gather(
            *(worker.channel.ask(name, value, seconds) for worker in self.ready), return_exceptions=True
        )
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(answer, ProcessLost):
                raise answer
        return [answer for answer in answers if not isinstance(answer, BaseException)]

    def end_hanging(self, looks: int) -> None:
        """Look at all, and kill those that have not reported since so many looks: their loops hang, and others take their place.

        Looks are counted, not seconds: when a machine that stood still goes on, nobody has reported for long, and nobody hangs.
        """
        for worker in self.ready:
            worker.silent += 1
            if worker.silent > looks and worker.process.poll() is None:
                log.error("worker %d has said nothing for long and is killed", worker.process.pid)
                worker.process.kill()

    async def stop(self, seconds: float) -> None:
        """Have all end after their last answers; those that take longer are killed."""
        self.stopping = True
        for worker in self.workers:
            worker.channel.tell("stop")
        end = time.monotonic() + seconds
        while any(worker.process.poll() is None for worker in self.workers) and time.monotonic() < end:
            await asyncio.sleep(0.01)
        self.kill()

    def kill(self) -> None:
        """End all at once."""
        for worker in self.workers:
            if worker.process.poll() is None:
                worker.process.kill()
            worker.process.wait()

    def total(self) -> Tally:
        """What all workers counted, those too that are gone."""
        total = Tally()
        total.add(self.lost)
        for worker in self.workers:
            total.add(worker.tally)
        return total

    def _start_one(self) -> Worker:
        ours, theirs = socket.socketpair()
        descriptors = [self._listener.fileno(), theirs.fileno()]
        command = [sys.executable, "-P", "-m", "tasks.service.worker", *map(str, descriptors)]
        # A session of its own: what a terminal sends to all of us is for the supervisor, which then tells the workers
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(
            command, pass_fds=descriptors, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=environment
        )
        theirs.close()
        worker = Worker(process, Channel({}), time.monotonic())
        worker.channel = Channel({name: self._bound(worker, handle) for name, handle in self._handlers.items()})
        worker.talking = asyncio.ensure_future(worker.channel.talk(ours))
        worker.talking.add_done_callback(lambda _: self._gone(worker))
        self.workers.append(worker)
        return worker

    @staticmethod
    def _bound(worker: Worker, handle: Callable[[Worker, Any], Awaitable[Any]]) -> Handler:
        async def handled(value: Any) -> Any:
            return await handle(worker, value)

        return handled

    async def _welcome(self, worker: Worker) -> None:
        await self._greet(worker)
        worker.silent = 0
        self.ready.add(worker)

    def _gone(self, worker: Worker) -> None:
        """A worker's channel has ended: keep what it counted, and start another unless all are to end.

        As long as others answer, nothing that hinders a new one ends the service.
        """
        self.ready.discard(worker)
        if self.stopping or worker not in self.workers:
            return
        self.workers.remove(worker)
        self.lost.add(worker.tally.without_gauges())
        self.lost.count("millrace_workers_lost")
        code = worker.process.wait()
        name = signal.Signals(-code).name if code < 0 else str(code)
        log.error("worker %d ended by itself (%s); another is started", worker.process.pid, name)
        self._failures = self._failures + 1 if time.monotonic() - worker.started < SHORT_SECONDS else 0
        if self._failures >= MOST_FAILURES and not self.ready:
            if not self.failed.done():
                self.failed.set_exception(
                    ProcessFailed(f"{self._failures} workers in a row ended at their start; their messages are above")
                )
            return
        task = asyncio.ensure_future(self._replace())
        self._watching.add(task)
        task.add_done_callback(self._watching.discard)

    async def _replace(self) -> None:
        if self._failures:
            await asyncio.sleep(min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** min(self._failures, 10)))
        if self.stopping:
            return
        worker = self._start_one()
        try:
            await self._welcome(worker)
        except ProcessLost:
            return  # `_gone` has seen it
        except (MillraceError, TimeoutError) as error:
            log.error("a new worker cannot begin: %s", error)
            worker.process.kill()
        except Exception:
            log.exception("a new worker cannot begin")
            worker.process.kill()
