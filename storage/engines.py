"""From a store's URL to obstore's engine for it."""

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from obstore.store import LocalStore, MemoryStore

from storage.clouds import ALIASES, CLOUDS, CloudEngine
from storage.errors import ConfigError

Engine = LocalStore | MemoryStore | CloudEngine
WANTED = "a folder, s3://bucket/prefix, gs://bucket/prefix or az://container/prefix"


@dataclass(frozen=True)
class Location:
    """Where a store lies. `url`: normalised; `folder`: for a store on local disk; `scheme`, `bucket`, `prefix`: for one in a cloud."""

    url: str
    folder: Path | None = None
    scheme: str = ""
    bucket: str = ""
    prefix: str = ""


def locate(url: str) -> Location:
    """Understand a folder path, `file://…`, `s3://…`, `gs://…`, `az://…` or `memory://name`; `ConfigError` for anything else."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme == "file":
        path = unquote(urlsplit(url).path) if separator else url
        if not path:
            raise ConfigError(f"storage URL {url!r} is empty; give {WANTED}")
        folder = Path(os.path.abspath(os.path.expanduser(path)))
        return Location(str(folder), folder=folder)
    bucket, _, prefix = rest.strip("/").partition("/")
    if scheme == "memory":
        return Location(f"memory://{bucket}")
    scheme = ALIASES.get(scheme, scheme)
    if scheme not in CLOUDS or not bucket or "@" in bucket or "?" in rest:
        raise ConfigError(f"storage URL {_shown(url)!r}: wanted {WANTED}")
    whole = f"{scheme}://" + "/".join(filter(None, (bucket, prefix)))
    return Location(whole, scheme=scheme, bucket=bucket, prefix=prefix)


def build_engine(location: Location) -> Engine:
    """obstore's engine for `location`; makes a local store's folder."""
    if location.folder is not None:
        return _local(location.folder)
    if not location.bucket:
        return MemoryStore()
    return CLOUDS[location.scheme].open(location.url, location.bucket, location.prefix)


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
