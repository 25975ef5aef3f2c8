"""Does this store keep the promise that commits rest on: of several creators of one object, exactly one succeeds?

Some S3 look-alikes ignore `If-None-Match: *` and others lose races; on these two releases could both be version 4.
"""

import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from storage.errors import ConfigError

_RACERS = 4


class Store(Protocol):
    """What is tried out."""

    url: str

    def put_if_absent(self, key: str, data: bytes) -> bool: ...
    def get(self, key: str) -> bytes: ...
    def delete(self, key: str) -> None: ...


def probe(store: Store) -> None:
    """Race for a new object, then try to create it once more; `ConfigError` unless the first content alone stands."""
    key = f"probes/{uuid.uuid4().hex}"
    tokens = [uuid.uuid4().hex.encode() for _ in range(_RACERS + 1)]
    with ThreadPoolExecutor(_RACERS) as racers:
        won = list(racers.map(lambda token: store.put_if_absent(key, token), tokens[:-1]))
    try:
        won.append(store.put_if_absent(key, tokens[-1]))
        kept = store.get(key)
    finally:
        store.delete(key)
    if [token for token, success in zip(tokens, won, strict=True) if success] != [kept]:
        raise ConfigError(
            f"store {store.url}: of {len(tokens)} creators of one object {sum(won)} were told that they made it, "
            "wanted exactly 1; such a store loses releases: use one that honours If-None-Match: * on PUT "
            "(AWS S3, Ceph RGW, MinIO, a local folder)"
        )
