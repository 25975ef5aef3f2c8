"""What the registry's moves write: each function gives what decides on the standing of a model's log.

What decides is asked again after every entry that comes between. It returns the new entry's fields, or None where all is so already,
and raises `Conflict`, `NotFound` or `ConfigError` where the move is refused.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import EllipsisType
from typing import Any

from storage.aliases import CANARY, CHAMPION, SHADOW
from storage.errors import NotFound
from storage.refusals import (
    refuse_another_trial,
    refuse_beside,
    refuse_moved,
    refuse_rolled_back,
    refuse_unknown,
)
from storage.standing import Standing

Fields = dict[str, Any]
Decide = Callable[[Standing], Fields | None]


@dataclass(frozen=True)
class Seen:
    """On what a move was decided. `version`: what the alias pointed at (None: at nothing; …: whatever), `trial`: the entry that the
    canary or shadow stood by (None: whatever)."""

    version: int | EllipsisType | None = ...
    trial: int | None = None


def registration(artifact: str, release: str, signature: str, run_id: str) -> Decide:
    """A new version; nothing for an artifact that has one."""

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

    return decide


def promotion(name: str, version: int, alias: str, reason: str, automatic: bool, seen: Seen) -> Decide:
    """`alias` points at the version."""

    def decide(standing: Standing) -> Fields | None:
        refuse_unknown(name, standing, version)
        refuse_moved(name, standing, alias, seen.version)
        refuse_another_trial(name, standing, CANARY, seen.trial)
        if automatic:
            refuse_rolled_back(name, standing, version, f"millrace promote {name} {version}")
        if standing.current(alias) == version:
            return None
        return {"version": version, "alias": alias, "reason": reason, "automatic": automatic}

    return decide


def canary(
    name: str, version: int, share: float, policy: Mapping[str, Any], reason: str, automatic: bool, seen: Seen
) -> Decide:
    """The version is the canary, in place of the one that was seen."""

    def decide(standing: Standing) -> Fields | None:
        refuse_unknown(name, standing, version)
        refuse_moved(name, standing, CANARY, seen.version)
        refuse_another_trial(name, standing, CANARY, seen.trial)
        refuse_beside(name, standing, CANARY, version)
        if automatic:
            refuse_rolled_back(name, standing, version, f"millrace canary {name} {version}")
        running = standing.traffic(CHAMPION).canary
        if running and (running.version.number, running.share, running.policy) == (version, share, policy):
            return None
        fields = {"version": version, "alias": CANARY, "share": share, "policy": dict(policy)}
        return {**fields, "reason": reason, "automatic": automatic}

    return decide


def shadow(name: str, version: int, share: float, reason: str, seen: Seen) -> Decide:
    """The version is the shadow, in place of the one that was seen."""

    def decide(standing: Standing) -> Fields | None:
        refuse_unknown(name, standing, version)
        refuse_moved(name, standing, SHADOW, seen.version)
        refuse_another_trial(name, standing, SHADOW, seen.trial)
        refuse_beside(name, standing, SHADOW, version)
        running = standing.traffic(CHAMPION).shadow
        if running and (running.version.number, running.share) == (version, share):
            return None
        return {"version": version, "alias": SHADOW, "share": share, "reason": reason, "automatic": False}

    return decide


def withdrawal(name: str, alias: str, reason: str, automatic: bool, seen: Seen) -> Decide:
    """Canary or shadow is over, and its version as good as before."""

    def decide(standing: Standing) -> Fields:
        refuse_another_trial(name, standing, alias, seen.trial)
        return {"version": _held(name, standing, alias), "alias": alias, "reason": reason, "automatic": automatic}

    return decide


def way_back(name: str, alias: str, reason: str, automatic: bool, seen: Seen) -> Decide:
    """`alias` points at the version before, a canary at none, and the one that it leaves is marked."""

    def decide(standing: Standing) -> Fields:
        refuse_moved(name, standing, alias, seen.version)
        refuse_another_trial(name, standing, alias, seen.trial)
        if alias == CANARY:
            left, version = _held(name, standing, alias), None
        else:
            left, version = _before(name, standing, alias)
        return {"version": version, "alias": alias, "left": left, "reason": reason, "automatic": automatic}

    return decide


def _held(name: str, standing: Standing, alias: str) -> int:
    current = standing.current(alias)
    if current is None:
        raise NotFound(f"model {name!r} has no {alias} now; millrace status {name} shows what serves")
    return current


def _before(name: str, standing: Standing, alias: str) -> tuple[int, int]:
    current, before = standing.current(alias), standing.before(alias)
    if current is None or before is None:
        found = "no version" if current is None else f"version {current} and none before it"
        raise NotFound(
            f"alias {alias!r} of model {name!r}: found {found}, wanted an earlier one to go back to; "
            f"millrace promote {name} VERSION names one"
        )
    return current, before
