"""`python -m tasks.service.health`: exit code 0 where the service that is process 1 here, as in its image, is ready; else 1, and why.

Its own options tell where it listens, and its settings whether it speaks TLS: the check asks there, and as that does.
"""

import http.client
import ssl
import sys
from collections.abc import Sequence
from pathlib import Path

from storage.errors import MillraceError
from tasks.service.options import parser
from tasks.service.settings import load_settings

PROGRAM = "tasks.service"
SECONDS = 2.0
WILD = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # addresses to listen on, and who answers there


def fault(command: Sequence[str]) -> str:
    """Why the service of this command line is not ready; empty where it is."""
    if PROGRAM not in command:
        return f"found the command {' '.join(command)[:200]!r}, wanted one of {PROGRAM}"
    arguments = parser().parse_args(list(command)[list(command).index(PROGRAM) + 1 :])
    host = str(arguments.host)
    host = WILD.get(host, host)
    try:
        tls = load_settings(arguments.settings, {}).tls
        if tls is None:
            connection = http.client.HTTPConnection(host, arguments.port, timeout=SECONDS)
        else:  # whether it lives is asked, not who it is: the certificate is for other names than this one
            context = ssl._create_unverified_context()
            connection = http.client.HTTPSConnection(host, arguments.port, timeout=SECONDS, context=context)
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        return "" if answer.status == 200 else f"/readyz: found {answer.status}, wanted 200: {answer.read(300)!r}"
    except (MillraceError, OSError, http.client.HTTPException) as error:
        return f"{host}, port {arguments.port}: {type(error).__name__}: {error}"


def main() -> int:
    """Look at process 1; the exit code."""
    said = fault(Path("/proc/1/cmdline").read_text().rstrip("\0").split("\0"))
    sys.stdout.write(f"{said}\n" if said else "")
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main())
