"""`python -m tasks.service --storage URL --model NAME`: serve released models over HTTP.

The first line on stdout is `{"url", "model", "version", "models", "workers"}` as soon as requests are answered; messages and the access log are on
stderr. Exit codes: 0 stopped by SIGTERM or SIGINT after the last answer, 1 failed, 2 misuse.
"""

import errno
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Sequence

from storage.errors import ConfigError, MillraceError
from tasks.service.options import check, parser, wanted

LEAVING_SECONDS = 2.0  # the workers of a service that was killed stop to listen


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until a signal; the exit code."""
    arguments = parser().parse_args(argv)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")
    if arguments.die_with_parent:
        threading.Thread(target=_wait_for_end, daemon=True).start()
    try:
        settings = check(arguments)
        listener = _bind(arguments.host, arguments.port)
        from tasks.service.supervisor import Plan, supervise  # after the cheap checks: misuse is answered at once

        count = settings.workers or len(os.sched_getaffinity(0))
        plan = Plan(arguments.storage, wanted(arguments), settings, arguments.keys, arguments.tokens, count)
        supervise(plan, listener)
    except MillraceError as error:
        sys.stderr.write(f"millrace: {error}\n")
        return 2 if isinstance(error, ConfigError) else 1
    return 0


def _bind(host: str, port: int) -> socket.socket:
    """A socket that has its port but does not listen yet; ConfigError when the port is taken, also after a moment."""
    end = time.monotonic() + LEAVING_SECONDS
    while True:
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            listener = socket.socket(family, kind, protocol)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            return listener
        except (OSError, OverflowError) as error:
            if getattr(error, "errno", 0) == errno.EADDRINUSE and time.monotonic() < end:
                time.sleep(0.05)
                continue
            raise ConfigError(f"cannot listen on {host}, port {port}: {error}; choose another with --port") from None


def _wait_for_end() -> None:
    while os.read(0, 4096):
        continue
    os._exit(1)  # the workers see their channels end, and follow


if __name__ == "__main__":
    sys.exit(main())
