"""What an object store's failures mean here: one of this project's errors, with what to do next.

Secrets stay out: of a server's answer only its status and its error code are repeated.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from obstore.exceptions import AlreadyExistsError, BaseError, PermissionDeniedError, UnauthenticatedError

from storage.errors import ConfigError, MillraceError, NotFound, StorageUnavailable

_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w+)</Code>")
_SYSTEM = re.compile(r"([^:\n]*) \(os error (\d+)\)")
_DENIED = {"401", "403"}
_PASSING = {"408", "425", "429"}  # timeouts and throttling: worth another try, like every 5xx


@contextmanager
def translated(url: str, key: str) -> Iterator[None]:
    """Raise what the object store at `url` raises for `key` as `NotFound`, `ConfigError` or `StorageUnavailable`.

    obstore's `AlreadyExistsError` passes as it is: it is an answer, not a fault.
    """
    try:
        yield
    except AlreadyExistsError:
        raise
    except (BaseError, OSError, ValueError) as error:
        raise meaning(error, url, key) from error


def meaning(error: Exception, url: str, key: str) -> MillraceError:
    """This project's error for an object store's `error`."""
    text = str(error)
    code = _found(_CODE, text)
    if code == "NoSuchBucket":
        return NotFound(f"store {url}: the bucket does not exist; create it, or name another with --storage")
    if isinstance(error, FileNotFoundError):
        return NotFound(f"object {key} is not in store {url}")
    status = _found(_STATUS, text)
    if isinstance(error, PermissionDeniedError | UnauthenticatedError | PermissionError) or status in _DENIED:
        return _denied(url, key, code or status)
    if system := _SYSTEM.search(text):
        return ConfigError(f"store {url}: cannot use {key}: {system[1].strip()}; free or repair that folder, run again")
    if status.startswith("4") and status not in _PASSING:
        return ConfigError(
            f"store {url}: {key} was refused with status {status} {code}; check bucket, region, endpoint"
        )
    return StorageUnavailable(
        f"store {url}: no good answer for {key} ({_reason(text, status, code)}); "
        "check the network and AWS_ENDPOINT_URL, then run again: what is done is kept"
    )


def _denied(url: str, key: str, found: str) -> ConfigError:
    if not url.startswith("s3://"):
        return ConfigError(f"store {url}: no permission for {key}; change the folder's owner or mode, or --storage")
    return ConfigError(
        f"store {url}: access to {key} was denied ({found or 'no reason given'}); set AWS_ACCESS_KEY_ID and "
        "AWS_SECRET_ACCESS_KEY to credentials that may read and write there, and AWS_ENDPOINT_URL and AWS_REGION to its server"
    )


def _reason(text: str, status: str, code: str) -> str:
    if status:
        return f"status {status} {code}".strip()
    first = text.splitlines()[0] if text else "no reason given"
    return first.rpartition(" - ")[2][:200]


def _found(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(text)
    return match[1] if match else ""
