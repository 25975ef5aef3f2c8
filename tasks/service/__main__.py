"""`python -m tasks.service --storage URL --model NAME`: serve a released model over HTTP.

The first line on stdout is `{"url", "model", "version"}` as soon as requests are answered; messages and the access log are on stderr.
Exit codes: 0 stopped by SIGTERM or SIGINT after the last answer, 1 failed, 2 misuse.
"""

import argparse
import ipaddress
import logging
import os
import socket
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from storage.errors import ConfigError, MillraceError
from storage.root import default_storage
from tasks.service.limits import Limits

DEFAULT = Limits()


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until a signal; the exit code."""
    arguments = parser().parse_args(argv)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")
    if arguments.die_with_parent:
        threading.Thread(target=_wait_for_end, daemon=True).start()
    try:
        check(arguments)
        listener = _bind(arguments.host, arguments.port)
        from tasks.service.server import serve  # after the cheap checks: misuse is answered at once

        wanted = arguments.alias if arguments.version is None else arguments.version
        limits = Limits(body_bytes=round(arguments.max_body_mib * 2**20))
        serve(listener, arguments.storage, arguments.model, wanted, arguments.keys, arguments.poll_seconds, limits)
    except MillraceError as error:
        sys.stderr.write(f"millrace: {error}\n")
        return 2 if isinstance(error, ConfigError) else 1
    return 0


def parser() -> argparse.ArgumentParser:
    """All options."""
    top = argparse.ArgumentParser(prog="python -m tasks.service", description="Serve a released model over HTTP.")
    top.add_argument("--storage", metavar="URL", default=default_storage(), help="folder or s3://bucket/prefix")
    top.add_argument("--model", metavar="NAME", required=True)
    which = top.add_mutually_exclusive_group()
    which.add_argument("--alias", default="champion", help="serve and follow this alias")
    which.add_argument("--version", metavar="N", type=int, help="serve this version and no other")
    top.add_argument("--host", default="127.0.0.1")
    top.add_argument("--port", type=int, default=0, help="0: a free one")
    access = top.add_mutually_exclusive_group()
    access.add_argument("--keys", metavar="FILE", type=Path, help="API keys; python -m tasks.service.keys makes them")
    access.add_argument("--no-auth", action="store_true", help="ask for no key; only on the loopback address")
    top.add_argument("--poll-seconds", type=float, default=1.0, help="seconds between looks at the alias")
    top.add_argument("--max-body-mib", type=float, default=DEFAULT.body_bytes / 2**20, help="greatest body, in MiB")
    top.add_argument("--die-with-parent", action="store_true", help="end at once when standard input ends")
    return top


def check(arguments: argparse.Namespace) -> None:
    if arguments.keys is None and not arguments.no_auth:
        raise ConfigError(
            "found neither --keys nor --no-auth; give a file of API keys, or --no-auth on this machine only"
        )
    if arguments.no_auth and not _is_loopback(arguments.host):
        raise ConfigError(
            f"--no-auth: found the host {arguments.host!r}, wanted 127.0.0.1: others could ask too; use --keys"
        )
    if not 0 <= arguments.port <= 65_535:
        raise ConfigError(f"--port: found {arguments.port}, wanted 0 (a free one) to 65535")
    if arguments.poll_seconds <= 0 or arguments.max_body_mib <= 0:
        raise ConfigError("--poll-seconds and --max-body-mib: wanted numbers above 0")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _bind(host: str, port: int) -> socket.socket:
    """A socket that has its port but does not listen yet; ConfigError when the port is taken."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except (OSError, OverflowError) as error:
        raise ConfigError(f"cannot listen on {host}, port {port}: {error}; choose another with --port") from None
    return listener


def _wait_for_end() -> None:
    while os.read(0, 4096):
        continue
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
