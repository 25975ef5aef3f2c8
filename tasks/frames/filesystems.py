"""fsspec's file system for a URL, and what it is told: the same server, region and patience as the store itself."""

import os
import re
from typing import Any

import fsspec.core

from storage.clouds import ALIASES, CLOUDS
from storage.errors import ConfigError

EXTRAS = {"gs": ("gcsfs", "gcs"), "az": ("adlfs", "azure")}
# The two kinds of tries multiply: botocore asks again after 5xx and lost connections, s3fs after an answer that breaks off.
S3_TRIES, BOTOCORE_TRIES = 2, 3
READ_SECONDS = 10.0  # between two reads; six times that is waited for


def filesystem(url: str) -> tuple[Any, str]:
    """fsspec's file system for `url`, and the path in it. ConfigError where the protocol is unknown or needs what is not there."""
    protocol = url.partition("://")[0]
    try:
        fs, path = fsspec.core.url_to_fs(url, **(_s3_options() if protocol in ("s3", "s3a") else {}))
    except ImportError as error:
        raise ConfigError(_missing(url, ALIASES.get(protocol, protocol), error)) from error
    except (ValueError, TypeError) as error:
        cloud = CLOUDS.get(ALIASES.get(protocol, protocol))
        raise ConfigError(_unusable(url, error) + (f"; {cloud.advice}" if cloud else "")) from error
    if protocol in ("s3", "s3a"):
        fs.retries = S3_TRIES
    return fs, path


def hidden(text: str) -> str:
    """`text` without what its URLs may hold of credentials: user and password, and the values of a query."""
    text = re.sub(r"://[^/\s'\"]*@", "://…@", text)
    return re.sub(r"(://[^\s?'\"]*\?)[^\s'\"]*=[^\s'\";)]*", r"\1…", text)


def _s3_options() -> dict[str, Any]:
    """Named here and not left to the environment alone, as fsspec keeps file systems by what they were told."""
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    client = {"region_name": region, "verify": os.environ.get("AWS_CA_BUNDLE")}
    return {
        "endpoint_url": os.environ.get("AWS_ENDPOINT_URL") or None,
        "use_listings_cache": False,  # another writer's files would not be seen
        "client_kwargs": {name: value for name, value in client.items() if value},
        "config_kwargs": {
            "connect_timeout": 5,
            "read_timeout": READ_SECONDS,
            "retries": {"mode": "standard", "max_attempts": BOTOCORE_TRIES},
        },
    }


def _missing(url: str, scheme: str, error: ImportError) -> str:
    if scheme not in EXTRAS:
        return _unusable(url, error)
    library, extra = EXTRAS[scheme]
    return hidden(f"{url}: reading it needs {library}, which is not here ({error}); pip install 'millrace[{extra}]'")


def _unusable(url: str, error: Exception) -> str:
    return (
        hidden(f"{url}: cannot be opened ({error}); use a path, or a URL with s3://, https:// or another protocol")
        + " that fsspec has here"
    )
