"""The stores beyond a folder: S3, Google Cloud Storage, Azure Blob Storage. Credentials come from the environment only.

Where a server lies and how it is reached is told by the variables that each cloud's own tools read, so that obstore here and
fsspec's file systems in `tasks/frames` agree.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from obstore.exceptions import BaseError
from obstore.store import AzureStore, GCSStore, S3Store

from storage.errors import ConfigError

READ_SECONDS = 20.0
CloudEngine = S3Store | GCSStore | AzureStore


@dataclass(frozen=True)
class Cloud:
    """One kind of object store. `endpoint`, `ca_file`: the variables that name its server and whom to trust;
    `credentials`: of each group one variable must be set; `advice`: what to set.
    """

    build: Callable[..., CloudEngine]
    endpoint: str
    ca_file: str
    credentials: tuple[tuple[str, ...], ...]
    advice: str
    holder: str = "bucket"

    def open(self, url: str, bucket: str, prefix: str) -> CloudEngine:
        """obstore's engine. ConfigError without credentials: obstore would ask the cloud's metadata server, and wait."""
        if not all(any(os.environ.get(name) for name in group) for group in self.credentials):
            raise ConfigError(f"store {url}: no credentials; {self.advice}")
        options: dict[str, Any] = {
            "allow_http": os.environ.get(self.endpoint, "").startswith("http://"),  # asked for, as on a test server
            "connect_timeout": timedelta(seconds=5),
            "read_timeout": timedelta(seconds=READ_SECONDS),  # between two reads: a stalled answer ends
            "timeout": timedelta(minutes=10),  # one whole request; blobs of a gigabyte need time
        }
        if trusted := os.environ.get(self.ca_file):
            options["root_certificate"] = _certificates(self.ca_file, trusted)
        retries: Any = {"max_retries": 4, "retry_timeout": timedelta(seconds=15)}  # beyond that we insist ourselves
        try:
            return self.build(bucket, prefix=prefix or None, client_options=options, retry_config=retries)
        except (BaseError, OSError, ValueError) as error:
            raise ConfigError(
                f"store {url}: these settings cannot be used ({str(error).splitlines()[0][:200]}); "
                f"check {self.endpoint}, {self.ca_file}, and {self.advice}"
            ) from None


CLOUDS = {
    "s3": Cloud(
        S3Store,
        "AWS_ENDPOINT_URL",
        "AWS_CA_BUNDLE",
        (
            (
                "AWS_ACCESS_KEY_ID",
                "AWS_WEB_IDENTITY_TOKEN_FILE",
                "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
                "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            ),
        ),
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    ),
    "gs": Cloud(
        GCSStore,
        "GOOGLE_BASE_URL",
        "SSL_CERT_FILE",
        (
            (
                "GOOGLE_APPLICATION_CREDENTIALS",
                "GOOGLE_SERVICE_ACCOUNT",
                "GOOGLE_SERVICE_ACCOUNT_PATH",
                "GOOGLE_SERVICE_ACCOUNT_KEY",
                "GOOGLE_BEARER_TOKEN",
                "GCE_METADATA_HOST",
            ),
        ),
        "set GOOGLE_APPLICATION_CREDENTIALS to a credentials file (on Google's own machines: GCE_METADATA_HOST=metadata.google.internal)",
    ),
    "az": Cloud(
        AzureStore,
        "AZURE_STORAGE_ENDPOINT",
        "SSL_CERT_FILE",
        (
            ("AZURE_STORAGE_ACCOUNT_NAME",),
            (
                "AZURE_STORAGE_ACCOUNT_KEY",
                "AZURE_STORAGE_SAS_KEY",
                "AZURE_STORAGE_SAS_TOKEN",
                "AZURE_CLIENT_ID",
                "AZURE_FEDERATED_TOKEN_FILE",
                "IDENTITY_ENDPOINT",
            ),
        ),
        "set AZURE_STORAGE_ACCOUNT_NAME, and AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN",
        holder="container",
    ),
}
ALIASES = {"gcs": "gs", "abfs": "az", "abfss": "az", "azure": "az"}


def settings_mark() -> int:
    """Changes when the environment's object store settings change; says nothing about their values."""
    prefixes = ("AWS_", "GOOGLE_", "AZURE_", "SSL_CERT_FILE")
    return hash(tuple(sorted(item for item in os.environ.items() if item[0].startswith(prefixes))))


def _certificates(variable: str, file: str) -> str:
    try:
        text = Path(file).read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise ConfigError(
            f"{variable}: {file} cannot be read ({error.strerror}); give a file of PEM certificates"
        ) from None
    if "BEGIN CERTIFICATE" not in text:
        raise ConfigError(f"{variable}: {file} holds no certificate; give a file of PEM certificates")
    return text
