"""Does this store keep the promise that commits rest on: of several creators of one object, exactly one succeeds?

Some S3 look-alikes ignore `If-None-Match: *` and others lose races; on these two releases could both be version 4.
"""

import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Protocol

from storage.errors import ConfigError, MillraceError

_RACERS = 4


class Store(Protocol):
    """What is tried out: a store, of which only this is needed."""

    url: str

    def put_if_absent(self, key: str, data: bytes) -> bool: ...
    def get(self, key: str) -> bytes: ...
    def size(self, key: str) -> int | None: ...
    def delete(self, key: str) -> None: ...


def probe(store: Store) -> None:
    """Race for a new object, then try to create it once more; `ConfigError` unless the first content alone stands.

    A store that may be read but not written passes: nothing can be committed there.
    """
    key = f"probes/{uuid.uuid4().hex}"
    tokens = [uuid.uuid4().hex.encode() for _ in range(_RACERS + 1)]
    try:
        with ThreadPoolExecutor(_RACERS) as racers:
            won = list(racers.map(lambda token: store.put_if_absent(key, token), tokens[:-1]))
        won.append(store.put_if_absent(key, tokens[-1]))
    except ConfigError as denied:
        _check_readable(store, key, denied)
        return
    kept = store.get(key)
    with suppress(MillraceError):  # a writer that may not delete is a legitimate one
        store.delete(key)
    if [token for token, success in zip(tokens, won, strict=True) if success] != [kept]:
        raise ConfigError(
            f"store {store.url}: of {len(tokens)} creators of one object {sum(won)} were told that they made it, "
            "wanted exactly 1; such a store loses releases: use one that honours If-None-Match: * on PUT "
            "(AWS S3, Ceph RGW, MinIO, a local folder)"
        )


def _check_readable(store: Store, key: str, denied: ConfigError) -> None:
    try:
        store.size(key)
    except ConfigError:
        raise denied from None
