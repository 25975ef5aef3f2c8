"""uvicorn over our application: our connections, a certificate that is read again when it changes, an end after the last answer."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn

from tasks.service.certificates import Certificate
from tasks.service.connection import Connection, sweep
from tasks.service.limits import Limits
from tasks.service.tally import Tally


class Server(uvicorn.Server):
    """Listens on sockets that are bound already, and stops when it is told to; signals are the worker's."""

    def __init__(self, app: Any, limits: Limits, tls: Certificate | None, tally: Tally) -> None:
        bounded = type("BoundedConnection", (Connection,), {"limits": limits, "tally": tally})
        config = uvicorn.Config(
            app,
            http=bounded,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # an address that anybody can write into a header would undo the throttle
            backlog=2048,
            timeout_graceful_shutdown=int(limits.grace_seconds),
        )
        config.load()
        config.ssl = tls.context if tls else None
        super().__init__(config)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and watch the time that clients take."""
        await super().startup(sockets)
        self._sweeping = asyncio.ensure_future(sweep(self.server_state.connections))

    def stop(self) -> None:
        """Take no more connections, answer what is under way, end; the second time at once."""
        self.force_exit = self.should_exit
        self.should_exit = True
        for server in getattr(self, "servers", ()):
            server.close()
