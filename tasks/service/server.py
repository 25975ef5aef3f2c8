"""uvicorn over our application: our connections, a certificate that is read again when it changes, an end after the last answer."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvicorn

from storage.errors import ConfigError
from tasks.service.connection import Connection, sweep
from tasks.service.limits import Limits
from tasks.service.settings import TlsSettings


class Server(uvicorn.Server):
    """Listens on sockets that are bound already, and stops when it is told to; signals are the worker's."""

    def __init__(self, app: Any, limits: Limits, tls: "Certificate | None") -> None:
        bounded = type("BoundedConnection", (Connection,), {"limits": limits})
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


class Certificate:
    """TLS 1.2 or later with the certificate and key in two PEM files; ConfigError where they cannot be used."""

    def __init__(self, settings: TlsSettings) -> None:
        self._settings = settings
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.set_alpn_protocols(["http/1.1"])
        self.load()

    def load(self) -> None:
        """Take what the files hold now; connections from here on see it."""
        paths = self._settings.certificate, self._settings.key
        try:
            # First into a context of its own: half of a pair would break the one that serves
            ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(*paths)
            self.context.load_cert_chain(*paths)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"tls: certificate {paths[0]} with key {paths[1]}: {error}; wanted PEM files that fit"
            ) from None

    def stamp(self) -> tuple[int, ...]:
        """Changes with the files."""
        files = Path(self._settings.certificate), Path(self._settings.key)
        try:
            return tuple(part for file in files for part in (file.stat().st_mtime_ns, file.stat().st_size))
        except OSError:
            return ()
