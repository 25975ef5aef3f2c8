"""From a store's URL to obstore's engine for it. Credentials come from the environment only."""

import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import unquote, urlsplit

from obstore.store import LocalStore, MemoryStore, S3Store

from storage.errors import ConfigError

Engine = LocalStore | MemoryStore | S3Store

# Each of these lets obstore find credentials by itself; without any it would ask a cloud's metadata server, and wait.
_CREDENTIALS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
_SETTINGS = ("AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


@dataclass(frozen=True)
class Location:
    """Where a store lies. `url`: normalised; `folder`: for a store on local disk; `bucket`, `prefix`: for S3."""

    url: str
    folder: Path | None = None
    bucket: str = ""
    prefix: str = ""


def locate(url: str) -> Location:
    """Understand a folder path, `file://…`, `s3://bucket/prefix` or `memory://name`; `ConfigError` for anything else."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme == "file":
        path = unquote(urlsplit(url).path) if separator else url
        if not path:
            raise ConfigError(f"storage URL {url!r} is empty; give a folder or s3://bucket/prefix")
        folder = Path(os.path.abspath(os.path.expanduser(path)))
        return Location(str(folder), folder=folder)
    bucket, _, prefix = rest.strip("/").partition("/")
    if scheme == "memory":
        return Location(f"memory://{bucket}")
    if scheme != "s3" or not bucket or "@" in bucket or "?" in rest:
        raise ConfigError(f"storage URL {_shown(url)!r}: wanted a folder, file:///folder or s3://bucket/prefix")
    return Location("s3://" + "/".join(filter(None, (bucket, prefix))), bucket=bucket, prefix=prefix)


def build_engine(location: Location) -> Engine:
    """obstore's engine for `location`; makes a local store's folder."""
    if location.folder is not None:
        return _local(location.folder)
    if not location.bucket:
        return MemoryStore()
    if not any(os.environ.get(name) for name in _CREDENTIALS):
        raise ConfigError(f"store {location.url}: no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    return S3Store(
        location.bucket,
        prefix=location.prefix or None,
        client_options={
            "allow_http": True,  # test servers and in-cluster gateways
            "connect_timeout": timedelta(seconds=5),
            "read_timeout": timedelta(seconds=30),  # between two reads: a stalled answer ends
            "timeout": timedelta(minutes=10),  # one whole request; blobs of a gigabyte need time
        },
        retry_config={"max_retries": 6, "retry_timeout": timedelta(seconds=60)},
    )


def settings_mark() -> int:
    """Changes when the environment's object store settings change; says nothing about their values."""
    return hash(tuple(os.environ.get(name) for name in (*_CREDENTIALS, *_SETTINGS)))


def _local(folder: Path) -> LocalStore:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"store {folder}: cannot make the folder ({error.strerror}); name another with --storage"
        ) from error
    return LocalStore(folder)


def _shown(url: str) -> str:
    """`url` without what might be a password."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://…@{rest.rpartition('@')[2]}" if "@" in rest else url
