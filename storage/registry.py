"""Numbered model versions and the aliases that point at them, as an append-only log of signed entries for each model.

`models/<name>/log/<20 digits>.json`, committed by put-if-absent: of two writers of entry n one wins, and the other
reads it and decides again. What an alias points at follows from the log; nothing is ever rewritten.
"""

import difflib
import re
import time
import uuid
from collections.abc import Callable
from types import EllipsisType
from typing import Any

from storage.chains import follow
from storage.entries import Entry, Standing, Version, add_up, entry_key, model_log, seal, unseal
from storage.errors import ConfigError, Conflict, NotFound
from storage.objects import ObjectStore, open_store
from storage.signing import Keyring, open_keyring

__all__ = ["Entry", "Registry", "Version", "open_registry"]

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_ATTEMPTS = 100  # of appending; each lost one means that somebody else got on
Fields = dict[str, Any]


class Registry:
    """The models of one store, as far as `keyring` trusts them. `clock` gives seconds since the epoch.

    Every reading method raises `Untrusted` where a log was changed or signed by an unknown key. Entries that this object has verified
    are not read again.
    """

    def __init__(self, store: ObjectStore, keyring: Keyring, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._keyring = keyring
        self._clock = clock
        self._verified: dict[str, list[Entry]] = {}

    def names(self) -> list[str]:
        """All models, sorted."""
        return sorted({key.split("/")[1] for key, _ in self._store.list("models/")})

    def entries(self, name: str) -> list[Entry]:
        """The model's log, verified from its first entry on; empty for a model that is not there."""
        log, known = model_log(_checked(name, "model name")), self._verified.get(name, [])
        self._verified[name] = [*known, *follow(self._store, self._keyring, log, known)]
        return list(self._verified[name])

    def versions(self, name: str) -> list[Version]:
        """The model's versions by number; `NotFound` names the nearest model."""
        return list(self._standing(name, must_exist=True).versions.values())

    def alias(self, name: str, alias: str) -> Version | None:
        """The version that `alias` points at; None if there is no such alias or model."""
        standing = self._standing(name)
        number = standing.current(alias)
        return standing.versions[number] if number is not None else None

    def aliases(self, name: str) -> dict[str, int]:
        """All aliases of the model with the numbers of their versions."""
        return {alias: history[-1] for alias, history in sorted(self._standing(name).history.items())}

    def rolled_back(self, name: str) -> set[str]:
        """Digests of artifacts that were rolled back and that nobody has promoted by hand since."""
        return self._standing(name).rolled_back

    def register(self, name: str, artifact: str, release: str, run_id: str = "") -> int:
        """Make the artifact a version with a signed release manifest; the number. An artifact that has one keeps it."""
        signature = self._keyring.sign(bytes.fromhex(release))

        def decide(standing: Standing) -> Fields | None:
            if any(version.artifact == artifact for version in standing.versions.values()):
                return None
            return {
                "version": max(standing.versions, default=0) + 1,
                "artifact": artifact,
                "release": release,
                "release_signature": signature,
                "run_id": run_id,
            }

        standing = self._append(name, "register", decide)
        return next(version.number for version in standing.versions.values() if version.artifact == artifact)

    def promote(
        self,
        name: str,
        version: int,
        alias: str = "champion",
        reason: str = "",
        expected: int | EllipsisType | None = ...,
        automatic: bool = False,
    ) -> None:
        """Point `alias` at a version. Done by a person it clears the mark of a rollback; `automatic`, it respects it.

        `expected`: the version that the alias pointed at when this was decided (None: no such alias); left out, any will do.
        Raises `Conflict` if the alias has moved since, or for an automatic promotion of what was rolled back; `NotFound`.
        """
        _checked(alias, "alias")

        def decide(standing: Standing) -> Fields | None:
            artifact = self._version(name, standing, version).artifact
            current = standing.current(alias)
            if expected is not ... and current != expected:
                raise Conflict(
                    f"alias {alias!r} of model {name!r}: found version {current}, expected {expected}: "
                    "somebody else moved it; run again to compare with the version that holds it now"
                )
            if automatic and artifact in standing.rolled_back:
                raise Conflict(
                    f"version {version} of model {name!r} was rolled back and does not come back by itself; "
                    f"millrace promote {name} {version} brings it back"
                )
            if current == version:
                return None
            return {"version": version, "alias": alias, "reason": reason, "automatic": automatic}

        self._append(name, "promote", decide)

    def rollback(self, name: str, alias: str = "champion") -> Version:
        """Point `alias` back at the version it pointed at before, and mark the one it leaves. `NotFound` if there is none."""

        def decide(standing: Standing) -> Fields:
            current, before = standing.current(alias), standing.before(alias)
            if current is None or before is None:
                found = "no version" if current is None else f"version {current} and none before it"
                raise NotFound(
                    f"alias {alias!r} of model {name!r}: found {found}, wanted an earlier one to go back to; "
                    f"millrace promote {name} VERSION names one"
                )
            return {"version": before, "alias": alias, "left": current}

        self._standing(name, must_exist=True)
        standing = self._append(name, "rollback", decide)
        return standing.versions[standing.history[alias][-1]]

    def _append(self, name: str, action: str, decide: Callable[[Standing], Fields | None]) -> Standing:
        """Commit what `decide` makes of the standing (None: nothing to do), again after every entry that came between."""
        for _ in range(_ATTEMPTS):
            entries = self.entries(name)
            standing = add_up(entries)
            fields = decide(standing)
            if fields is None:
                return standing
            content = self._sealed(name, action, entries, fields)
            if self._store.put_if_absent(entry_key(name, len(entries)), content):
                previous = entries[-1].digest if entries else ""
                standing.apply(unseal(self._keyring, model_log(name), len(entries), previous, content))
                return standing
        raise Conflict(
            f"model {name!r}: other writers were first {_ATTEMPTS} times in a row; run again when they are done"
        )

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

    def _standing(self, name: str, must_exist: bool = False) -> Standing:
        entries = self.entries(name)
        if must_exist and not entries:
            raise NotFound(f"model {name!r} is not in store {self._store.url}; {self._nearest(name)}")
        return add_up(entries)

    def _nearest(self, name: str) -> str:
        names = self.names()
        near = difflib.get_close_matches(name, names, n=1) or names[:1]
        return f"did you mean {near[0]!r}? All: {', '.join(names)}" if near else "it holds no model yet: millrace run"

    def _version(self, name: str, standing: Standing, number: int) -> Version:
        if number not in standing.versions:
            self._standing(name, must_exist=True)
            raise NotFound(
                f"model {name!r}: found versions {sorted(standing.versions)}, wanted {number}; millrace models {name}"
            )
        return standing.versions[number]


def open_registry(store_url: str) -> Registry:
    """The registry of the store at that URL, with the keys that belong to it."""
    store = open_store(store_url)
    return Registry(store, open_keyring(store.url))


def check_release_signature(keyring: Keyring, entry: Entry) -> None:
    """`Untrusted` unless the release that a register entry names is signed by the entry's signer."""
    release, signature = entry.fields["release"], entry.fields["release_signature"]
    keyring.verify(bytes.fromhex(release), signature, entry.key_id)


def _checked(name: str, what: str) -> str:
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{what} {name!r}: wanted 1 to 64 of lower-case letters, digits, '.', '_' and '-', beginning with a letter or digit"
        )
    return name
