"""Writing an object that may be there already, so that whoever collects garbage at this moment does not take it."""

from pathlib import Path

from storage.leases import outlast_sweep
from storage.objects import ObjectStore


def overwrite(store: ObjectStore, key: str, data: bytes | Path) -> str:
    """Write the object: now it is young and whole. Its ETag.

    A collection that is going on may have listed it when it was old, and delete it yet: so its end is awaited, and the object written again
    where it is gone. First the writing, then the look: a collection that starts later lists it as young.
    """
    was_there = store.head(key) is not None
    etag = store.put(key, data)
    if was_there and outlast_sweep(store) and store.head(key) is None:
        store.put(key, data)
    return etag
