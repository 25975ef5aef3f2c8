"""`python -m tasks.service.worker`: one process that answers requests. It is started by the supervisor, and ends with it.

It inherits the listening socket and its end of a socket pair, by the descriptors that its arguments name; everything else it is told.
"""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import msgspec
import uvloop

from storage.errors import MillraceError
from storage.objects import open_store
from storage.registry import open_registry
from storage.root import end_temporary
from tasks.service.access_log import AccessLog
from tasks.service.app import App
from tasks.service.arms import Arms
from tasks.service.capture import Capture
from tasks.service.certificates import Certificate
from tasks.service.channel import Channel
from tasks.service.generating import Writers
from tasks.service.grants import Grants
from tasks.service.loading import Loader
from tasks.service.memory import resident_bytes
from tasks.service.models import Models
from tasks.service.notes import Notes
from tasks.service.paths import paths
from tasks.service.protocols.simple import take
from tasks.service.routes import Route
from tasks.service.server import Server
from tasks.service.service import Service
from tasks.service.settings import Settings
from tasks.service.tally import Tally
from tasks.service.tracing import open_tracing

if TYPE_CHECKING:
    from tasks.service.spans import Spans

TELL_SECONDS = 0.25
ORPHAN_SECONDS = 60.0
GC_THRESHOLDS = 50_000, 50, 1000  # thousands of waiting requests are no garbage, and were looked through each time
SWITCH_SECONDS = (
    0.0005  # a forward that waits for the interpreter, by default for 5 ms each time, waits longer than it computes
)
LAST_SECONDS = 5.0  # for the supervisor to hear the last report
log = logging.getLogger(__name__)


class Worker:
    """Answers on `listener`, and talks with the supervisor over `end`."""

    def __init__(self, listener: socket.socket, end: socket.socket) -> None:
        self._listener, self._end = listener, end
        self._channel = Channel(
            {
                "begin": self._begin,
                "prepare": self._prepare,
                "turn": self._turn,
                "keys": self._forget_keys,
                "certificate": self._load_certificate,
                "collect": self._collect,
                "owners": self._owners,
                "feedback": self._feedback,
                "stop": self._stop,
            }
        )
        self._service: Service | None = None
        self._server: Server | None = None
        self._certificate: Certificate | None = None
        self._spans: Spans | None = None
        self._serving: asyncio.Task[None] | None = None
        self._ended = asyncio.Event()

    async def run(self) -> None:
        """Until told to stop, or the supervisor is gone."""
        talking = asyncio.ensure_future(self._channel.talk(self._end))
        talking.add_done_callback(lambda _: self._end_serving())
        await self._ended.wait()
        if self._serving:
            await self._serving
            await self._access.close(LAST_SECONDS)
        if self._service:
            with contextlib.suppress(MillraceError, TimeoutError):
                await self._channel.ask(
                    "report", self._report(), LAST_SECONDS
                )  # nothing that was counted or captured is lost
        talking.cancel()
        if self._spans:
            await asyncio.to_thread(self._spans.close)

    async def _begin(self, told: dict[str, Any]) -> None:
        settings = msgspec.convert(told["settings"], Settings)
        tally, arms, store = Tally(), Arms(), open_store(told["storage"])
        models = Models(Loader(store, open_registry(store.url)), settings.limits, tally, arms)
        notes = Notes(models, tally, arms, Capture(settings.capture, tally))
        writers = Writers(settings.limits, tally)
        service = Service(
            models, Grants(self._channel, told["with_keys"]), notes, tally, settings.limits, self._channel, writers
        )
        self._service, self._access = service, AccessLog()
        self._certificate = Certificate(settings.tls) if settings.tls else None
        self._spans = open_tracing()
        self._app = App(paths(service), tally, self._access, told["prefix"], self._spans)
        self._server = Server(self._app, settings.limits, self._certificate, tally)

    async def _prepare(self, routes: list[Any]) -> None:
        await self._of().models.prepare(msgspec.convert(routes, list[Route]))

    async def _turn(self, routes: list[Any]) -> None:
        """Answer by these routes; the first time, begin to listen."""
        self._of().models.turn(msgspec.convert(routes, list[Route]))
        if self._serving is None and self._server:
            self._serving = asyncio.ensure_future(self._server.serve([self._listener]))
            self._serving.add_done_callback(lambda _: self._ended.set())
            self._telling = asyncio.ensure_future(self._tell_often())
            while not self._server.started and not self._serving.done():
                await asyncio.sleep(0.002)
            gc.collect()
            gc.freeze()  # what is here now stays: later collections need not look at it
            gc.set_threshold(*GC_THRESHOLDS)

    async def _forget_keys(self, _: Any) -> None:
        self._of().grants.forget()

    async def _load_certificate(self, _: Any) -> None:
        if self._certificate:
            self._certificate.load()

    async def _collect(self, _: Any) -> dict[str, Any]:
        return self._report()

    async def _owners(self, asked: list[Any]) -> dict[str, bool]:
        return self._of().notes.owners(*asked)

    async def _feedback(self, asked: list[Any]) -> dict[str, Any] | None:
        return take(self._of(), *asked)

    async def _stop(self, _: Any) -> None:
        self._end_serving()

    def _end_serving(self) -> None:
        if self._service:
            self._service.stopping = True
        if self._server and self._serving:
            self._server.stop()
        else:
            self._ended.set()

    async def _tell_often(self) -> None:
        while True:
            await asyncio.sleep(TELL_SECONDS)
            self._tell()

    def _tell(self) -> None:
        """Everything that the supervisor adds up, as it is now."""
        self._channel.tell("report", self._report())

    def _report(self) -> dict[str, Any]:
        service = self._of()
        self._set_gauges(service)
        return {
            "tally": service.tally.packed(),
            "arms": service.notes.arms.taken(),
            "captured": service.notes.capture.taken(),
        }

    def _set_gauges(self, service: Service) -> None:
        tally = service.tally
        for key in [key for key in tally.numbers if key[0] in ("millrace_queue_rows", "millrace_model_memory_bytes")]:
            tally.numbers[key] = 0
        for served in service.models.loaded():
            tally.count("millrace_queue_rows", served.name, by=served.batcher.queued_rows)
            tally.set("millrace_model_memory_bytes", served.name, str(served.number), to=served.memory_bytes)
        tally.set("http_server_active_requests", to=self._app.active)
        tally.set("process_cpu_seconds", to=time.process_time())
        tally.set("process_resident_memory_bytes", to=resident_bytes())

    def _of(self) -> Service:
        if self._service is None:
            raise RuntimeError("the worker was not told what to serve")
        return self._service


def _end_after(supervisor: int) -> None:
    """End when the supervisor has been gone for long: a loop that hangs does not see its channel end."""
    while os.getppid() == supervisor:
        time.sleep(1.0)
    time.sleep(ORPHAN_SECONDS)
    os._exit(1)


def main(argv: list[str]) -> int:
    """Serve on the descriptors in `argv`: the listening socket's, and the channel's."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # those that a terminal sends to all of us are for the supervisor
    sys.setswitchinterval(SWITCH_SECONDS)
    threading.Thread(target=_end_after, args=(os.getppid(),), daemon=True).start()
    listener, end = (socket.socket(fileno=int(text)) for text in argv)

    async def run() -> None:
        await Worker(listener, end).run()

    uvloop.run(run())
    sys.stderr.flush()
    end_temporary()
    os._exit(0)  # what threads still compute is for nobody


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
