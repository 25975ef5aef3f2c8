"""Reading a log of signed entries from its first one on, each checked against the one before."""

import re
from collections.abc import Iterator, Sequence

from storage.entries import Entry, Log, unseal
from storage.errors import Untrusted
from storage.objects import ObjectStore
from storage.signing import Keyring

_FILE = re.compile(r"\d{20}\.json")


def indexes(store: ObjectStore, log: Log) -> list[int]:
    """Which entries a listing tells of, in order."""
    names = (key.rpartition("/")[2] for key, _ in store.list(log.folder))
    return [int(name.removesuffix(".json")) for name in names if _FILE.fullmatch(name)]


def follow(store: ObjectStore, keyring: Keyring, log: Log, known: Sequence[Entry] = ()) -> Iterator[Entry]:
    """The entries after the `known` ones, verified one by one; `Untrusted` at the first that is missing or cannot be believed."""
    there = set(indexes(store, log))
    previous = known[-1].digest if known else ""
    for index in range(max(len(known), max(there, default=-1) + 1)):
        if index not in there:
            raise Untrusted(f"entry {index} of {log.title} is missing; restore {log.folder} from a backup")
        if index >= len(known):
            entry = unseal(keyring, log, index, previous, store.get(log.key(index)))
            previous = entry.digest
            yield entry
