"""The audit log: who did what with keys, services and data, as an append-only chain of signed entries in the store.

`audit/<20 digits>.json`, sealed like the models' logs (`storage/entries.py`). Whoever acts records first and acts then: what cannot be
recorded is not done. An entry's `fields` hold what the act was about, never a secret, and `who`: `MILLRACE_ACTOR` or user@host.
"""

import getpass
import hashlib
import os
import re
import socket
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from storage.chains import follow, indexes
from storage.entries import COMMON, Entry, Log, seal, unseal
from storage.errors import ConfigError, Conflict, NotFound, Untrusted
from storage.objects import ObjectStore, open_store
from storage.signing import Keyring, open_keyring
from storage.witness import missed, see

AUDIT = Log("audit of the store", "audit", "the audit log")  # no model can bear that name
_ACTION = re.compile(r"[a-z][a-z-]{0,63}")
_ATTEMPTS = 100  # each lost one means that somebody else's act was recorded


@dataclass(frozen=True)
class Checked:
    """A log as far as it can be believed; `problem`: what is wrong after that, in words, or empty."""

    log: Log
    entries: list[Entry]
    problem: str


def record(store_url: str, action: str, fields: Mapping[str, Any]) -> Entry:
    """Append an act, such as `create-key`, to the store's audit log.

    Raises `ConfigError` and `StorageUnavailable` where the store cannot be written, `Untrusted` where the log's end is broken or gone.
    """
    if not _ACTION.fullmatch(action) or {*COMMON, "who"} & set(fields):
        raise ConfigError(f"audit of {action!r}: wanted small letters, and no field of {', '.join((*COMMON, 'who'))}")
    store = open_store(store_url)
    keyring = open_keyring(store.url)
    for _ in range(_ATTEMPTS):
        index, previous = _end(store, keyring)
        own = {"name": AUDIT.name, "index": index, "previous": previous, "action": action, "who": actor()}
        content = seal(keyring, {**fields, **own, "time": time.time(), "writer": uuid.uuid4().hex})
        if store.put_if_absent(AUDIT.key(index), content):
            entry = unseal(keyring, AUDIT, index, previous, content)
            see(keyring, store.url, AUDIT, entry)
            return entry
    raise Conflict(f"the audit log of {store.url}: other writers were first {_ATTEMPTS} times in a row; try again")


def recorder(store_url: str) -> Callable[[str, Mapping[str, Any]], Entry]:
    """`record` for that store."""
    return partial(record, store_url)


def check_log(store: ObjectStore, keyring: Keyring, log: Log) -> Checked:
    """Read and check a whole log, and that it still has what this machine saw of it; what is whole counts as seen from now on."""
    entries: list[Entry] = []
    try:
        for entry in follow(store, keyring, log):
            entries.append(entry)  # what came before the break stays
    except (Untrusted, NotFound) as error:
        return Checked(log, entries, str(error))
    digests = {entry.index: entry.digest for entry in entries}
    problem = missed(keyring, store.url, log, digests.get)
    if entries and not problem:
        see(keyring, store.url, log, entries[-1])
    return Checked(log, entries, problem)


def actor() -> str:
    """Who acts: `MILLRACE_ACTOR`, or the user and machine."""
    if named := os.environ.get("MILLRACE_ACTOR"):
        return named
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container's user that nobody named
        user = f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()}"


def _end(store: ObjectStore, keyring: Keyring) -> tuple[int, str]:
    """The next entry's index, and the last one's digest: believed only if it is signed, and the log has what was seen of it."""
    there = indexes(store, AUDIT)

    def digest_of(index: int) -> str | None:
        return hashlib.sha256(store.get(AUDIT.key(index))).hexdigest() if index in there else None

    if problem := missed(keyring, store.url, AUDIT, digest_of):
        raise Untrusted(problem)
    if not there:
        return 0, ""
    last = unseal(keyring, AUDIT, there[-1], None, store.get(AUDIT.key(there[-1])))
    return last.index + 1, last.digest
