"""What a killed writer leaves in a store that no listing shows: multipart uploads that were never completed, temporary files beside objects."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from storage.engines import Location, locate
from storage.errors import StorageUnavailable
from storage.objects import ObjectStore

_TEMPORARY = re.compile(r".+#\d+")  # as obstore names them in a folder
_OURS = ("blobs/", "manifests/", "runs/", "steps/", "shards/", "damaged/", "probes/", "captures/")


@dataclass(frozen=True)
class Leftover:
    """`key`: of the object that was to be; `size`: in bytes, as far as it came; `remove`: does away with it."""

    key: str
    size: int
    remove: Callable[[], None]


def find_leftovers(store: ObjectStore, before: float) -> list[Leftover]:
    """What nobody has written to since `before`, seconds since the epoch by the store's clock. Google and Azure drop theirs themselves."""
    location = locate(store.url)
    if location.folder:
        return list(_files(location.folder, before))
    return list(_uploads(location, before)) if location.scheme == "s3" else []


def _files(folder: Path, before: float) -> Iterator[Leftover]:
    for place, _, names in os.walk(folder):
        for path in (Path(place, name) for name in names if _TEMPORARY.fullmatch(name)):
            with suppress(FileNotFoundError):
                status = path.stat()
                if status.st_mtime < before:
                    key = path.relative_to(folder).as_posix()
                    yield Leftover(key, status.st_size, partial(path.unlink, missing_ok=True))


def _uploads(location: Location, before: float) -> Iterator[Leftover]:
    from botocore.exceptions import BotoCoreError, ClientError

    client, prefix = _client(), f"{location.prefix}/" if location.prefix else ""
    try:
        pages = client.get_paginator("list_multipart_uploads").paginate(Bucket=location.bucket, Prefix=prefix)
        for upload in (upload for page in pages for upload in page.get("Uploads", ())):
            key = upload["Key"].removeprefix(prefix)
            if key.startswith(_OURS) and upload["Initiated"].timestamp() < before:
                yield from _abandoned(client, location.bucket, key, upload, before)
    except (BotoCoreError, ClientError) as error:
        raise StorageUnavailable(
            f"store {location.url}: its unfinished uploads cannot be listed ({error}); check that s3:ListBucketMultipartUploads "
            "and s3:ListMultipartUploadParts are allowed"
        ) from error


def _abandoned(client: Any, bucket: str, key: str, upload: Any, before: float) -> Iterator[Leftover]:
    """The upload, unless a part of it arrived lately."""
    named = {"Bucket": bucket, "Key": upload["Key"], "UploadId": upload["UploadId"]}
    with suppress(client.exceptions.NoSuchUpload):
        pages = client.get_paginator("list_parts").paginate(**named)
        parts = [part for page in pages for part in page.get("Parts", ())]
        if all(part["LastModified"].timestamp() < before for part in parts):
            remove = partial(_abort, client, named)
            yield Leftover(key, sum(part["Size"] for part in parts), remove)


def _abort(client: Any, named: dict[str, str]) -> None:
    with suppress(client.exceptions.NoSuchUpload):
        client.abort_multipart_upload(**named)


def _client() -> Any:
    """botocore's, told of the server as obstore is: by the environment."""
    import botocore.session
    from botocore.config import Config

    endpoint = os.environ.get("AWS_ENDPOINT_URL") or None
    addressing = {"addressing_style": "path"} if endpoint else {}
    config = Config(
        connect_timeout=5, read_timeout=30, retries={"mode": "standard", "max_attempts": 6}, s3=addressing or None
    )
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    session = botocore.session.get_session()
    return session.create_client("s3", region_name=region, endpoint_url=endpoint, config=config)
