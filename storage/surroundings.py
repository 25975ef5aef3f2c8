"""What a configuration says of its object store, as environment variables: so it reaches obstore, fsspec and every child process.

None of it is secret. What is told here wins over the environment it was told in, for as long as the run goes on.
"""

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from storage.clouds import CLOUDS
from storage.engines import locate
from storage.errors import ConfigError

ENCRYPTIONS = {"sse-s3": "AES256", "sse-kms": "aws:kms", "sse-c": "sse-c"}
SSE_C_KEY = "AWS_SSE_CUSTOMER_KEY_BASE64"  # a secret: in the environment only
_lock = threading.Lock()
_open = 0  # blocks, in whatever thread
_told: dict[str, str] = {}
_before: dict[str, str | None] = {}


def variables(
    url: str, endpoint: str = "", region: str = "", ca_file: str = "", encryption: str = "", kms_key: str = ""
) -> dict[str, str]:
    """The settings of the store at `url` as variables; for a folder those of S3, which its sources may come from.

    ConfigError for what that kind of store does not have.
    """
    scheme = locate(url).scheme if url else ""
    cloud = CLOUDS[scheme or "s3"]
    if scheme not in ("", "s3") and (region or encryption):
        raise ConfigError(
            f"storage.region and storage.encryption are for s3://, found {url}; Google and Azure encrypt always, and their buckets have a region"
        )
    told = {
        cloud.endpoint: endpoint,
        "AWS_REGION": region,  # read by obstore
        "AWS_DEFAULT_REGION": region,  # read by botocore
        cloud.ca_file: str(Path(ca_file).absolute()) if ca_file else "",
        "AWS_SERVER_SIDE_ENCRYPTION": ENCRYPTIONS.get(encryption, ""),
        "AWS_SSE_KMS_KEY_ID": kms_key,
    }
    return {name: value for name, value in told.items() if value}


@contextmanager
def surrounded(told: Mapping[str, str]) -> Iterator[None]:
    """This process, and those that it starts, live with the variables `told`; afterwards it is as before.

    ConfigError without SSE-C's key, and where this process lives with others already: it has one environment for all its threads.
    """
    if told.get("AWS_SERVER_SIDE_ENCRYPTION") == "sse-c" and not os.environ.get(SSE_C_KEY):
        raise ConfigError(f"storage.encryption is 'sse-c'; set {SSE_C_KEY} to its key, the Base64 of 32 bytes")
    _enter(told)
    try:
        yield
    finally:
        _leave()


def _enter(told: Mapping[str, str]) -> None:
    global _open
    with _lock:
        if _open and dict(told) != _told:
            raise ConfigError(
                "storage: found two runs at once in one process whose stores are reached in different ways; "
                "run them one after the other, or each in a process of its own"
            )
        if not _open:
            _before.update({name: os.environ.get(name) for name in told})
            _told.update(told)
            os.environ.update(told)
        _open += 1


def _leave() -> None:
    """The last one out restores what was before."""
    global _open
    with _lock:
        _open -= 1
        if _open:
            return
        for name, value in _before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        _before.clear()
        _told.clear()


def told() -> dict[str, str]:
    """The variables that are told at this moment, for processes that do not inherit them."""
    return dict(_told)
