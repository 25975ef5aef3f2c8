"""The models' append-only logs: who appends, and how writers that race get on.

`models/<name>/log/<20 digits>.json`, committed by put-if-absent: of two writers of entry n one wins, and the other reads it and decides
again. Nothing is ever rewritten.
"""

import re
import uuid
from collections.abc import Callable

from storage.chains import follow
from storage.entries import Entry, entry_key, model_log, seal, unseal
from storage.errors import ConfigError, Conflict
from storage.moves import Decide, Fields
from storage.objects import ObjectStore
from storage.signing import Keyring
from storage.standing import Standing, add_up
from storage.witness import missed, see

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_ATTEMPTS = 100  # of appending; each lost one means that somebody else got on


class ModelLogs:
    """The logs of one store, as far as `keyring` trusts them. Entries that this object has verified are not read again."""

    def __init__(self, store: ObjectStore, keyring: Keyring, clock: Callable[[], float]) -> None:
        self._store = store
        self._keyring = keyring
        self._clock = clock
        self._verified: dict[str, list[Entry]] = {}

    def names(self) -> list[str]:
        """All models, sorted."""
        return sorted({key.split("/")[1] for key, _ in self._store.list("models/")})

    def entries(self, name: str) -> list[Entry]:
        """The model's log, verified from its first entry on; empty for a model that is not there. Raises `Untrusted`."""
        log, known = model_log(checked(name, "model name")), self._verified.get(name, [])
        self._verified[name] = [*known, *follow(self._store, self._keyring, log, known)]
        return list(self._verified[name])

    def append(self, name: str, action: str, decide: Decide) -> Standing:
        """Commit what `decide` makes of the standing (None: nothing to do), again after every entry that came between."""
        for _ in range(_ATTEMPTS):
            entries = self.entries(name)
            standing = add_up(entries)
            fields = decide(standing)
            if fields is None:
                return standing
            content = self._sealed(name, action, entries, fields)
            if self._store.put_if_absent(entry_key(name, len(entries)), content):
                standing.apply(self._written(name, entries, content))
                return standing
        raise Conflict(
            f"model {name!r}: other writers were first {_ATTEMPTS} times in a row; run again when they are done"
        )

    def _written(self, name: str, entries: list[Entry], content: bytes) -> Entry:
        """The new entry, which counts as seen from now on: but not where one that was seen is gone, which an audit is still to tell."""
        log, previous = model_log(name), entries[-1].digest if entries else ""
        entry = unseal(self._keyring, log, len(entries), previous, content)
        if not missed(self._keyring, self._store.url, log, {entry.index: entry.digest for entry in entries}.get):
            see(self._keyring, self._store.url, log, entry)
        return entry

    def _sealed(self, name: str, action: str, entries: list[Entry], fields: Fields) -> bytes:
        body = {
            **fields,
            "name": name,
            "index": len(entries),
            "previous": entries[-1].digest if entries else "",
            "writer": uuid.uuid4().hex,  # tells our entry from an equal one when the answer to a commit was lost
            "time": self._clock(),
            "action": action,
        }
        return seal(self._keyring, body)


def checked(name: str, what: str) -> str:
    """`name`, or ConfigError where it could leave its folder."""
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{what} {name!r}: wanted 1 to 64 of lower-case letters, digits, '.', '_' and '-', beginning with a letter or digit"
        )
    return name
