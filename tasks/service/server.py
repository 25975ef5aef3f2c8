"""Loads the first model, runs uvicorn over it, follows the alias, and stops after the last answer."""

import asyncio
import contextlib
import json
import signal
import socket
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import uvicorn
import uvloop

from storage.objects import open_store
from storage.registry import open_registry
from tasks.service.app import Service, make_app
from tasks.service.follower import Follower
from tasks.service.guard import Guard
from tasks.service.limits import Limits
from tasks.service.metrics import Metrics
from tasks.service.models import Models, Source

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Server(uvicorn.Server):
    """uvicorn that says when it is ready, and exits with 0 after a signal (its own way is to die of the signal)."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Begin to stop at the first signal, stop at once at the second."""
        loop = asyncio.get_running_loop()
        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, self._stop)
        yield

    def _stop(self) -> None:
        self.force_exit = self.should_exit
        self.should_exit = self._service.stopping = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say where."""
        await super().startup(sockets)
        model, (host, port) = self._service.models.current, (sockets or [])[0].getsockname()[:2]
        url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        sys.stdout.write(json.dumps({"url": url, "model": model.name, "version": model.number}) + "\n")
        sys.stdout.flush()


def serve(
    listener: socket.socket,
    storage: str,
    name: str,
    wanted: str | int,
    keys: Path | None,
    poll_seconds: float,
    limits: Limits,
) -> None:
    """Serve model `name` on `listener` until a signal. `wanted`: an alias to follow, or a version number.

    Raises what loading the first model raises: nothing is served that has not passed its checks.
    """
    guard, metrics = (Guard(keys) if keys else None), Metrics()
    store = open_store(storage)
    source = Source(store, open_registry(store.url), name, wanted)
    seen = source.length()
    loaded = source.load(source.find())
    with ThreadPoolExecutor(1, "forward") as executor:
        models = Models(name, limits, metrics, executor, with_keys=guard is not None)
        models.serve(loaded)
        service = Service(models, metrics, limits, guard)
        follow = isinstance(wanted, str)
        uvloop.run(_serve(service, listener, Follower(source, metrics, seen, poll_seconds, loaded) if follow else None))


async def _serve(service: Service, listener: socket.socket, follower: Follower | None) -> None:
    config = uvicorn.Config(
        make_app(service),
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # an address that anybody can write into a header would undo the throttle
        timeout_graceful_shutdown=service.limits.grace_seconds,
    )
    if follower:
        loop = asyncio.get_running_loop()
        follower.start(lambda loaded: loop.call_soon_threadsafe(service.models.serve, loaded))
    try:
        await Server(config, service).serve([listener])
    finally:
        if follower:
            follower.stop()
