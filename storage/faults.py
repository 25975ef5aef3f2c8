"""What an object store's failures mean here: one of this project's errors, with what to do next.

Secrets stay out: of a server's answer only its status and its error code are repeated.
"""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain, repeat
from typing import TypeVar

from obstore.exceptions import AlreadyExistsError, BaseError, PermissionDeniedError, UnauthenticatedError

from storage import patience
from storage.clouds import CLOUDS
from storage.errors import ConfigError, MillraceError, NotFound, StorageSilent, StorageUnavailable

Answer = TypeVar("Answer")
_PAUSES = (0.1, 0.3, 1.0, 2.0)
_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w+)</Code>")
_CERTIFICATE = re.compile(r"InvalidCertificate\(\s*(\w+)")
_SYSTEM = re.compile(r"([^:\n]*) \(os error (\d+)\)")
_NO_BUCKET = {"NoSuchBucket", "ContainerNotFound"}
_DENIED = {"401", "403"}
_PASSING = {"408", "425", "429"}  # timeouts and throttling: worth another try, like every 5xx


@contextmanager
def translated(url: str, key: str) -> Iterator[None]:
    """Raise what the object store at `url` raises for `key` as `NotFound`, `ConfigError`, `StorageUnavailable` or, where it has been
    silent for too long, `StorageSilent`.

    obstore's `AlreadyExistsError` passes as it is: it is an answer, not a fault.
    """
    began = time.monotonic()
    try:
        yield
    except AlreadyExistsError:
        patience.answered(url)
        raise
    except (BaseError, OSError, ValueError) as error:
        raise _told(url, began, meaning(error, url, key)) from error
    patience.answered(url)


def insisted(url: str, key: str, act: Callable[[], Answer]) -> Answer:
    """What `act` gives, tried again for as long as the store is borne with; errors as by `translated`.

    obstore tries most requests again by itself, but not all, and not for long: it cannot know that ours may all be repeated.
    """
    if reason := patience.why_not_asked(url):
        raise _silent(url, reason)
    began, pauses = time.monotonic(), chain(_PAUSES, repeat(_PAUSES[-1]))
    while True:
        try:
            with translated(url, key):
                return act()
        except StorageUnavailable:
            if time.monotonic() - began >= patience.patience_seconds(url):
                raise
            time.sleep(next(pauses))


def _told(url: str, began: float, error: MillraceError) -> MillraceError:
    """The error, once it was heard whether the store answers: as `StorageSilent` where patience with it is over."""
    if not isinstance(error, StorageUnavailable):
        patience.answered(url)
        return error
    patience.unanswered(url, began, str(error))
    return _silent(url, str(error)) if patience.is_over(url) else error


def _silent(url: str, reason: str) -> StorageSilent:
    return StorageSilent(f"{reason}; it has been silent for {patience.silence_seconds(url):.0f} s")


def meaning(error: Exception, url: str, key: str) -> MillraceError:
    """This project's error for an object store's `error`."""
    text = str(error)
    code = _found(_CODE, text)
    cloud = CLOUDS.get(url.partition("://")[0])
    if cloud and code in _NO_BUCKET:
        return NotFound(f"store {url}: the {cloud.holder} does not exist; create it, or name another with --storage")
    if isinstance(error, FileNotFoundError):
        return NotFound(f"object {key} is not in store {url}")
    status = _found(_STATUS, text)
    if isinstance(error, PermissionDeniedError | UnauthenticatedError | PermissionError) or status in _DENIED:
        return _denied(url, key, code or status)
    if system := _SYSTEM.search(text):
        return ConfigError(f"store {url}: cannot use {key}: {system[1].strip()}; free or repair that folder, run again")
    if cloud and (untrusted := _found(_CERTIFICATE, text)):
        return ConfigError(
            f"store {url}: the server's certificate is not trusted ({untrusted}); name a PEM file of who signed it as "
            f"storage.ca_file or {cloud.ca_file}, or correct {cloud.endpoint}"
        )
    if status.startswith("4") and status not in _PASSING:
        return ConfigError(
            f"store {url}: {key} was refused with status {status} {code}; check bucket, region, endpoint"
        )
    return StorageUnavailable(
        f"store {url}: no good answer for {key} ({_reason(text, status, code)}); "
        f"check the network{f' and {cloud.endpoint}' if cloud else ''}, then run again: what is done is kept"
    )


def _denied(url: str, key: str, found: str) -> ConfigError:
    cloud = CLOUDS.get(url.partition("://")[0])
    if cloud is None:
        return ConfigError(f"store {url}: no permission for {key}; change the folder's owner or mode, or --storage")
    return ConfigError(
        f"store {url}: access to {key} was denied ({found or 'no reason given'}); {cloud.advice}, with the right to read and "
        f"write there, and {cloud.endpoint}{' and AWS_REGION' if url.startswith('s3') else ''} to its server"
    )


def _reason(text: str, status: str, code: str) -> str:
    if status:
        return f"status {status} {code}".strip()
    first = text.splitlines()[0] if text else "no reason given"
    return first.rpartition(" - ")[2][:200]


def _found(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(text)
    return match[1] if match else ""
