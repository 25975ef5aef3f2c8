"""What can go wrong while a source is read, as errors of this project: each in one line that names the source and the next step."""

import errno
import gzip
import lzma
import socket
import sys
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import zstandard

from storage import patience
from storage.clouds import CLOUDS
from storage.errors import ConfigError, MillraceError, NotFound, StorageSilent, StorageUnavailable, Unreadable
from tasks.frames.filesystems import hidden

T = TypeVar("T")
DAMAGED = (
    EOFError,
    lzma.LZMAError,
    zlib.error,
    gzip.BadGzipFile,
    zstandard.ZstdError,
    tarfile.TarError,
    zipfile.BadZipFile,
)
CREDENTIALS = {
    "NoCredentialsError",
    "PartialCredentialsError",
    "CredentialRetrievalError",
    "ProfileNotFound",
    "GoogleAuthError",
}
REACHES = ()  # what is looked up among the loaded modules are libraries' errors
FOREIGN = (
    ("aiohttp", "ClientError"),
    ("botocore.exceptions", "BotoCoreError"),
    ("google.auth.exceptions", "GoogleAuthError"),
    ("gcsfs.retry", "HttpError"),
    ("azure.core.exceptions", "AzureError"),
)
UNTRUSTED = {"SSLError", "SSLCertVerificationError", "ClientConnectorCertificateError"}
UNANSWERED = {"ClientConnectionError", "ClientPayloadError", "HTTPClientError", "ConnectionError", "TimeoutError"}
PASSING = {errno.EBUSY, errno.EIO, errno.EAGAIN, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ESTALE}
STATUS = ("status", "status_code", "code")  # aiohttp's, Azure's, gcsfs's
PASSING_STATUS = {408, 425, 429}


@contextmanager
def reading(name: str, url: str = "") -> Iterator[None]:
    """Turn what can go wrong while `name` is read into errors of this project; where `url` has long been silent, nobody tries again."""
    place, began = "/".join((url or name).split("/")[:3]), time.monotonic()
    try:
        yield
    except DAMAGED as error:
        raise Unreadable(
            f"{hidden(name)}: cannot be unpacked ({error or type(error).__name__}); fetch it again"
        ) from error
    except _foreign() as error:
        raise _told(place, began, _meaning(hidden(name), error)) from error
    patience.answered(place)


def read_twice(read: Callable[[], T]) -> T | Unreadable:
    """What `read` gives, or why it cannot: only what fails twice is damaged, and was not just cut short on its way."""
    with suppress(Unreadable):
        return read()
    try:
        return read()
    except Unreadable as error:
        return error


def _told(place: str, began: float, error: MillraceError) -> MillraceError:
    """The error, once it was heard whether the place answers: as `StorageSilent` where patience with it is over."""
    if not isinstance(error, StorageUnavailable):
        return error
    patience.unanswered(place, began, str(error))
    if not patience.is_over(place):
        return error
    seconds = patience.silence_seconds(place)
    return StorageSilent(
        f"{str(error).partition('; ')[0]} for {seconds:.0f} s; run again when it does: what is done is kept"
    )


def _foreign() -> tuple[type[Exception], ...]:
    """What file systems raise. A library that is not loaded has raised nothing, and is not loaded for this."""
    return (OSError, *(getattr(sys.modules[name], error) for name, error in FOREIGN if name in sys.modules))


def _meaning(name: str, error: BaseException) -> MillraceError:
    kinds = {kind.__name__ for kind in type(error).__mro__}
    found = " ".join(hidden(str(error) or type(error).__name__).split())[:300]
    if isinstance(error, FileNotFoundError):
        return _absence(name, error, found)
    if status := next((value for name in STATUS if isinstance(value := getattr(error, name, None), int)), 0):
        said = " ".join(str(getattr(error, "message", "")).split())[:200]
        return _refusal(name, status, f"HTTP status {status} {said}".strip())
    if isinstance(error, PermissionError):
        return _refusal(name, 403, found)
    if kinds & CREDENTIALS:
        return ConfigError(f"{name}: found no credentials ({found}); {_credentials_for(name)}")
    if kinds & UNTRUSTED:
        return ConfigError(
            f"{name}: the server's certificate is not trusted ({found[:120]}); name a PEM file of who signed it as "
            "storage.ca_file, or in AWS_CA_BUNDLE or SSL_CERT_FILE"
        )
    if kinds & UNANSWERED or isinstance(error, socket.gaierror) or getattr(error, "errno", None) in PASSING:
        return StorageUnavailable(f"{name}: the source did not answer ({found}); it will be tried again")
    if isinstance(error, OSError) and error.errno is None:  # bz2 and Arrow say so of content
        return Unreadable(f"{name}: cannot be read ({found}); it is damaged: fetch it again")
    return ConfigError(f"{name}: cannot be read ({found}); check data.sources and data.root")


def _credentials_for(name: str) -> str:
    if name.startswith(("gs://", "gcs://")):
        return CLOUDS["gs"].advice
    return "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"


def _absence(name: str, error: FileNotFoundError, found: str) -> MillraceError:
    """fsspec says of whatever an HTTP server answers that there is no file; the cause says what it was."""
    cause = error.__cause__
    if isinstance(cause, _foreign()) and not isinstance(cause, FileNotFoundError):
        return _meaning(name, cause)
    response: Any = getattr(cause, "response", None)
    if response and response.get("Error", {}).get("Code") == "NoSuchBucket":
        return NotFound(f"{name}: the bucket does not exist; create it, or correct data.sources and data.root")
    return NotFound(f"{name}: no such file ({found}); check data.sources and data.root")


def _refusal(name: str, status: int, found: str) -> MillraceError:
    if status in (404, 410):
        return NotFound(f"{name}: no such file ({found}); check data.sources and data.root")
    if status in PASSING_STATUS or status >= 500:
        return StorageUnavailable(f"{name}: the source did not answer ({found}); it will be tried again")
    if status in (401, 403, 407):
        return ConfigError(
            f"{name}: may not be read ({found}); change the file's owner or mode, or give credentials that may read it"
        )
    return ConfigError(f"{name}: was refused ({found}); check data.sources and data.root")
