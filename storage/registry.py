"""Numbered model versions, the aliases that point at them, and what is tried beside the champion: a log of signed entries for each model.

What an alias points at follows from the log (`standing`). Every move is one entry of it (`model_logs`): whole, or not there.
"""

import difflib
import time
from collections.abc import Callable, Mapping
from types import EllipsisType
from typing import Any

from storage.aliases import CANARY, CHAMPION, SHADOW
from storage.entries import Entry
from storage.errors import NotFound
from storage.history import Tenure, tenures
from storage.model_logs import ModelLogs, checked
from storage.moves import Decide, Seen, canary, promotion, registration, shadow, way_back, withdrawal
from storage.objects import ObjectStore, open_store
from storage.refusals import refuse_promotion_beside, refuse_rollback, refuse_share, refuse_withdrawal
from storage.signing import Keyring, open_keyring
from storage.standing import Standing, Traffic, Version, add_up

__all__ = ["Entry", "Registry", "Traffic", "Version", "open_registry"]


class Registry:
    """The models of one store, as far as `keyring` trusts them. `clock` gives seconds since the epoch.

    Every reading method raises `Untrusted` where a log was changed or signed by an unknown key. Entries that this object has verified
    are not read again. Who decides on what he saw names it when he moves something (`expected`, `trial`): of several one wins, and the
    others get `Conflict`.
    """

    def __init__(self, store: ObjectStore, keyring: Keyring, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._keyring = keyring
        self._logs = ModelLogs(store, keyring, clock)

    @property
    def signs(self) -> bool:
        """Whether this machine has a key to sign entries with; the first move makes one where there is none."""
        return self._keyring.has_own

    def names(self) -> list[str]:
        """All models, sorted."""
        return self._logs.names()

    def entries(self, name: str) -> list[Entry]:
        """The model's log, verified from its first entry on; empty for a model that is not there."""
        return self._logs.entries(name)

    def versions(self, name: str) -> list[Version]:
        """The model's versions by number; `NotFound` names the nearest model."""
        return list(self._standing(name, must_exist=True).versions.values())

    def history(self, name: str) -> list[Tenure]:
        """Which version each alias pointed at, from when to when and why, the earliest first; `NotFound` names the nearest model."""
        self._standing(name, must_exist=True)
        return tenures(self.entries(name))

    def alias(self, name: str, alias: str) -> Version | None:
        """The version that `alias` points at; None if there is no such alias or model."""
        standing = self._standing(name)
        number = standing.current(alias)
        return standing.versions[number] if number is not None else None

    def find(self, name: str, wanted: str | int) -> Version:
        """The version that the alias `wanted` points at, or the version of that number; `NotFound` names what there is."""
        versions = {version.number: version for version in self.versions(name)}
        if isinstance(wanted, int):
            if wanted not in versions:
                found = f"found versions {sorted(versions)}, wanted {wanted}"
                raise NotFound(f"model {name!r}: {found}; millrace models {name}")
            return versions[wanted]
        version = self.alias(name, wanted)
        if version is None:
            way = f"millrace promote {name} VERSION gives it to one"
            raise NotFound(f"model {name!r}: no version holds the alias {wanted!r}; {way}")
        return version

    def aliases(self, name: str) -> dict[str, int]:
        """All aliases of the model with the numbers of their versions."""
        return {alias: history[-1] for alias, history in sorted(self._standing(name).history.items())}

    def traffic(self, name: str, alias: str = CHAMPION) -> Traffic:
        """Who answers behind `alias`, and what is tried beside it (beside the champion alone); empty for a model that is not there."""
        return self._standing(name).traffic(alias)

    def rolled_back(self, name: str) -> set[str]:
        """Digests of artifacts that were rolled back and that nobody has brought back by hand since."""
        return self._standing(name).rolled_back

    def register(self, name: str, artifact: str, release: str, run_id: str = "") -> int:
        """Make the artifact a version with a signed release manifest; the number. An artifact that has one keeps it."""
        signature = self._keyring.sign(bytes.fromhex(release))
        standing = self._logs.append(name, "register", registration(artifact, release, signature, run_id))
        return next(version.number for version in standing.versions.values() if version.artifact == artifact)

    def promote(
        self,
        name: str,
        version: int,
        alias: str = CHAMPION,
        reason: str = "",
        expected: int | EllipsisType | None = ...,
        automatic: bool = False,
        trial: int | None = None,
    ) -> None:
        """Point `alias` at a version. Done by a person it clears the mark of a rollback; `automatic`, it respects it.

        What becomes the champion is canary or shadow no more, by the same entry. `expected`: the version that the alias pointed at when
        this was decided (None: no such alias); left out, any will do. `trial`: what `Canary.since` was then. Raises `Conflict` if either
        has changed since, or for an automatic promotion of what was rolled back; `NotFound`; ConfigError for `canary` and `shadow`.
        """
        refuse_promotion_beside(name, version, checked(alias, "alias"))
        seen = Seen(expected, trial)
        self._move(name, "promote", promotion(name, version, alias, reason, automatic, seen))

    def canary(
        self,
        name: str,
        version: int,
        share: float,
        policy: Mapping[str, Any] | None = None,
        reason: str = "",
        automatic: bool = False,
        expected: int | EllipsisType | None = ...,
        trial: int | None = None,
    ) -> None:
        """Let a version answer a `share` (above 0, below 1) of the champion's requests, judged by `policy`; in place of another canary.

        A shadow that becomes the canary is a shadow no more. By hand it clears the mark of a rollback; `automatic`, it respects it
        (`Conflict`). `expected`, `trial`: the canary that ran then, and `Conflict`, as in `promote`. Raises ConfigError for a share out
        of bounds, `NotFound` where there is no champion or version, `Conflict` for the champion itself.
        """
        refuse_share(CANARY, share)
        seen = Seen(expected, trial)
        self._move(name, CANARY, canary(name, version, share, policy or {}, reason, automatic, seen))

    def shadow(
        self,
        name: str,
        version: int,
        share: float = 1.0,
        reason: str = "",
        expected: int | EllipsisType | None = ...,
        trial: int | None = None,
    ) -> None:
        """Show a version a `share` (above 0, at most 1) of the champion's requests, and nobody its answers; in place of another shadow.

        As it answers nobody, also what was rolled back may be it, and stays marked. Raises as `canary` does, also for the canary.
        """
        refuse_share(SHADOW, share)
        self._move(name, SHADOW, shadow(name, version, share, reason, Seen(expected, trial)))

    def withdraw(
        self, name: str, alias: str, reason: str = "", trial: int | None = None, automatic: bool = False
    ) -> None:
        """End the canary or shadow, with no mark on its version. `NotFound` if there is none; `trial`, `Conflict` as in `promote`."""
        refuse_withdrawal(name, alias)
        self._move(name, "withdraw", withdrawal(name, alias, reason, automatic, Seen(trial=trial)))

    def rollback(
        self,
        name: str,
        alias: str = CHAMPION,
        reason: str = "",
        expected: int | EllipsisType | None = ...,
        trial: int | None = None,
        automatic: bool = False,
    ) -> Version | None:
        """Point `alias` back at the version that it pointed at before, a canary at none, and mark the one that it leaves.

        The version that it points at now. `expected`, `trial` and `Conflict` as in `promote`; `NotFound` if there is nothing to go back
        to, or no canary; ConfigError for a shadow.
        """
        refuse_rollback(name, alias)
        seen = Seen(expected, trial)
        standing = self._move(name, "rollback", way_back(name, alias, reason, automatic, seen))
        number = standing.current(alias)
        return standing.versions[number] if number is not None else None

    def _move(self, name: str, action: str, decide: Decide) -> Standing:
        self._standing(name, must_exist=True)
        return self._logs.append(name, action, decide)

    def _standing(self, name: str, must_exist: bool = False) -> Standing:
        entries = self.entries(name)
        if must_exist and not entries:
            raise NotFound(f"model {name!r} is not in store {self._store.url}; {self._nearest(name)}")
        return add_up(entries)

    def _nearest(self, name: str) -> str:
        names = self.names()
        near = difflib.get_close_matches(name, names, n=1) or names[:1]
        return f"did you mean {near[0]!r}? All: {', '.join(names)}" if near else "it holds no model yet: millrace run"


def open_registry(store_url: str) -> Registry:
    """The registry of the store at that URL, with the keys that belong to it."""
    store = open_store(store_url)
    return Registry(store, open_keyring(store.url))


def check_release_signature(keyring: Keyring, entry: Entry) -> None:
    """`Untrusted` unless the release that a register entry names is signed by the entry's signer."""
    release, signature = entry.fields["release"], entry.fields["release_signature"]
    keyring.verify(bytes.fromhex(release), signature, entry.key_id)
