"""A worker's application in a thread of the test's process, with whatever model the test hands in; its supervisor says yes to everything."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from commands import wait_for

from tasks.service.access_log import AccessLog
from tasks.service.app import App
from tasks.service.arms import Arms
from tasks.service.capture import Capture
from tasks.service.channel import Channel
from tasks.service.exposition import exposed
from tasks.service.generating import Writers
from tasks.service.grants import Grants
from tasks.service.limits import Limits
from tasks.service.loading import Loaded
from tasks.service.models import Models
from tasks.service.notes import Notes
from tasks.service.paths import paths
from tasks.service.routes import Route
from tasks.service.server import Server
from tasks.service.service import Service
from tasks.service.settings import CaptureSettings
from tasks.service.tally import Tally


class Handed:
    """A loader of one model that is loaded already."""

    def __init__(self, loaded: Loaded) -> None:
        self._loaded = loaded

    def load(self, name: str, number: int) -> Loaded:
        return self._loaded


@dataclass
class InThread:
    """Where it listens, and what it counts."""

    host: str
    port: int
    service: Service
    server: Server

    @property
    def metrics(self) -> str:
        return exposed(self.service.tally).decode()

    @property
    def connections(self) -> int:
        return len(self.server.server_state.connections)

    @property
    def queued_rows(self) -> int:
        return sum(served.batcher.queued_rows for served in self.service.models.loaded())


@contextmanager
def in_thread(loaded: Loaded, limits: Limits) -> Iterator[InThread]:
    """Serve the model `iris`."""
    tally, arms, channel = Tally(), Arms(), Channel({})
    loader: Any = Handed(loaded)
    models = Models(loader, limits, tally, arms)
    notes = Notes(models, tally, arms, Capture(CaptureSettings(), tally))
    service = Service(models, Grants(channel, False), notes, tally, limits, channel, Writers(limits, tally))
    server = Server(App(paths(service), tally, AccessLog(), "t"), limits, None, tally)

    loops = list[asyncio.AbstractEventLoop]()

    async def serve(listener: socket.socket) -> None:
        loops.append(asyncio.get_running_loop())
        route = Route("iris", 1)
        await models.prepare([route])
        models.turn([route])
        await server.serve([listener])

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        address = listener.getsockname()
        thread = threading.Thread(target=lambda: asyncio.run(serve(listener)))
        thread.start()
        try:
            wait_for(lambda: server.started, "the server")
            yield InThread(*address, service=service, server=server)
        finally:
            loops[0].call_soon_threadsafe(server.stop)
            thread.join(30)
