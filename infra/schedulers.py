"""A Dask scheduler that somebody else runs, reached by its address, with Dask's TLS where that is `tls://…`.

Dask's own client tries for long and says little; so the connection is first tried here, and each way in which it can fail is told apart.
"""

import socket
import ssl
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from distributed import Client, Security
from distributed.comm.addressing import parse_address, parse_host_port
from distributed.versions import VersionMismatchWarning

from storage.errors import ConfigError, WorkerLost

CONNECT_SECONDS = 10
GREETING_SECONDS = 2  # a scheduler speaks first
PORT = 8786
FILES = {"tls_ca": "tls_ca_file", "tls_cert": "tls_client_cert", "tls_key": "tls_client_key"}
WAY_OUT = "start it, correct cluster.address, or use 'local'"

_answered: set[str] = set()


@contextmanager
def connect(section: Any) -> Iterator[Client]:
    """A client of the scheduler at `section.address`, which stays when the client goes.

    ConfigError naming what is wrong with the address, the certificates or the other side; WorkerLost where a scheduler that has answered
    this process before does so no more: it may come back.
    """
    address, security = section.address, credentials(section)
    try:
        scheme, place = parse_address(address)
        host, port = parse_host_port(place, PORT)
    except ValueError as error:
        raise ConfigError(f"cluster.address: found {address!r}, which is no scheduler's address ({error})") from None
    if scheme == "tls":
        _try_tls(address, (host, int(port)), _context(address, security))
    elif scheme == "tcp":
        _try_plain(address, (host, int(port)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VersionMismatchWarning)  # what differs is judged by ourselves, in one line
        try:
            client = Client(address, security=security, timeout=CONNECT_SECONDS)
        except (OSError, TimeoutError, ValueError, TypeError, RuntimeError) as error:
            _unanswered(address, error)
    _answered.add(address)
    with client:
        yield client


def credentials(section: Any) -> Security:
    """Dask's security settings: files that `section` names, the rest from Dask's own configuration and environment."""
    named = {field: getattr(section, field) for field in FILES if getattr(section, field)}
    for field, path in named.items():
        _check_readable(field, path)
    return Security(**{FILES[field]: path for field, path in named.items()})


def _check_readable(field: str, path: str) -> None:
    try:
        text = Path(path).read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ConfigError(f"cluster.{field}: {path} cannot be read: {reason}; give the path of a PEM file") from None
    if "-----BEGIN" not in text:
        raise ConfigError(f"cluster.{field}: {path} holds no PEM; give the path of a PEM file")
    if "ENCRYPTED" in text:  # OpenSSL would ask for the passphrase on the terminal
        raise ConfigError(
            f"cluster.{field}: {path} has a passphrase; wanted a key without, in a file that only you may read"
        )


def _context(address: str, security: Security) -> ssl.SSLContext:
    try:
        context = security.get_connection_args("client")["ssl_context"]
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise ConfigError(
            f"cluster.tls_cert and cluster.tls_key: cannot be used together or with tls_ca ({error})"
        ) from None
    if context is None:
        raise ConfigError(
            f"cluster.address is {address}, and found no certificates; set cluster.tls_ca, cluster.tls_cert and cluster.tls_key, or Dask's "
            "own DASK_DISTRIBUTED__COMM__TLS__CA_FILE, …__CLIENT__CERT and …__CLIENT__KEY"
        )
    return context


def _try_plain(address: str, place: tuple[str, int]) -> None:
    """Hear the scheduler's first bytes; where none come, find out whether TLS is awaited."""
    with _reach(address, place) as connection:
        connection.settimeout(GREETING_SECONDS)
        try:
            connection.recv(1)
            return
        except OSError:
            pass
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with _reach(address, place) as connection:
        connection.settimeout(GREETING_SECONDS)
        try:
            context.wrap_socket(connection).close()
        except OSError:
            return
    raise ConfigError(
        f"cluster.address is {address}, and what listens there wants TLS; use tls://{place[0]}:{place[1]} with cluster.tls_ca, tls_cert and tls_key"
    )


def _try_tls(address: str, place: tuple[str, int], context: ssl.SSLContext) -> None:
    """Shake hands, and hear whether the scheduler takes our certificate: in TLS 1.3 its refusal comes with the first read."""
    with _reach(address, place) as connection:
        try:
            with context.wrap_socket(connection) as secured:
                secured.recv(1)
        except ssl.SSLCertVerificationError as error:
            raise ConfigError(
                f"cluster.address: the certificate of {address} is not by the authority in cluster.tls_ca ({error.verify_message}); "
                "give the certificate of the authority that signed it"
            ) from None
        except ssl.SSLError as error:
            _refused(address, error)
        except OSError as error:
            _unanswered(address, error)


def _refused(address: str, error: ssl.SSLError) -> NoReturn:
    if "ALERT" in (error.reason or ""):
        raise ConfigError(
            f"cluster.address: {address} refuses the certificate in cluster.tls_cert ({error.reason}); give one signed by its authority"
        ) from None
    raise ConfigError(
        f"cluster.address: {address} speaks no TLS that we understand ({error.reason}); use tcp:// if it is a plain scheduler"
    ) from None


def _reach(address: str, place: tuple[str, int]) -> socket.socket:
    try:
        return socket.create_connection(place, timeout=CONNECT_SECONDS)
    except OSError as error:
        _unanswered(address, error)


def _unanswered(address: str, error: BaseException) -> NoReturn:
    """A scheduler that never answered is a mistake; one that did may come back."""
    kind = WorkerLost if address in _answered else ConfigError
    reason = " ".join(str(error).split()) or type(error).__name__
    raise kind(f"cluster.address: no Dask scheduler answers at {address} ({reason}); {WAY_OUT}") from None
