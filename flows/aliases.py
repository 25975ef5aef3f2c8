"""Moving an alias by hand: what the commands and the flows `promote` and `rollback` both do, and beginning and ending what is tried.

Each reads the log, decides, and names what it saw: of two people at once one moves the alias, and the other is told (`Conflict`).
"""

from collections.abc import Mapping
from typing import Any

from storage.errors import ConfigError, NotFound
from storage.root import default_storage

BY_HAND = "by hand"
CANARY_SHARE, SHADOW_SHARE = 0.1, 1.0


def existing_store(url: str) -> str:
    """The store at `url`, or the default one. NotFound where a local one is not there: opening it would make an empty one."""
    from storage.engines import locate

    storage = url or default_storage()
    folder = locate(storage).folder
    if folder is not None and not folder.is_dir():
        raise NotFound(
            f"store {folder}: there is no such folder; name another with --storage, or make one with: millrace run digits"
        )
    return storage


def move_forward(name: str, version: int | None, alias: str, storage: str, reason: str = BY_HAND) -> str:
    """Point `alias` at `version` (None: at the canary); what is so now, in words."""
    from storage.registry import open_registry

    registry = open_registry(existing_store(storage))
    canary = registry.traffic(name, alias).canary if version is None else None
    if version is None and canary is None:
        registry.versions(name)  # NotFound for a model that is not there
        raise ConfigError(f"model {name!r}: no version is named, and there is no canary to promote to {alias}")
    number, trial = (canary.version.number, canary.since) if canary else (version or 0, None)
    serving = registry.alias(name, alias)
    expected = serving.number if serving else None
    registry.promote(name, number, alias, reason=reason, expected=expected, trial=trial)
    return f"{name}: {alias} is version {number}"


def move_back(name: str, alias: str, storage: str, reason: str = BY_HAND) -> str:
    """Point `alias` at the version before, a canary at none; what is so now, in words."""
    from storage.registry import open_registry

    registry = open_registry(existing_store(storage))
    left = registry.alias(name, alias)
    version = registry.rollback(name, alias, reason=reason, expected=left.number if left else None)
    if version is None:
        return f"{name}: version {left.number if left else 0} is {alias} no more, and does not come back by itself"
    return f"{name}: {alias} is version {version.number} again"


def begin_canary(
    name: str, version: int | None, share: float | None, policy: Mapping[str, Any], storage: str, reason: str = BY_HAND
) -> str:
    """Let a version answer a share of the requests; what is so now, in words. What is not named stays as it is with the canary that runs."""
    from storage.registry import open_registry
    from tasks.scoring.policy import Policy

    Policy.from_json(policy)  # misuse is said before a missing store
    registry = open_registry(existing_store(storage))
    before = registry.alias(name, "canary")
    running = registry.traffic(name).canary
    number = _number(name, "canary", version, running.version.number if running else None)
    same = running if running and running.version.number == number else None
    if share is None:
        share = same.share if same else CANARY_SHARE
    rules = Policy.from_json({**(same.policy if same else {}), **policy}).to_json()
    expected, trial = before.number if before else None, running.since if running else None
    registry.canary(name, number, share, rules, reason, expected=expected, trial=trial)
    return f"{name}: canary is version {number}, for {100 * share:g} % of the requests"


def begin_shadow(name: str, version: int | None, share: float | None, storage: str, reason: str = BY_HAND) -> str:
    """Show a version a share of the requests; what is so now, in words."""
    from storage.registry import open_registry

    registry = open_registry(existing_store(storage))
    before = registry.alias(name, "shadow")
    running = registry.traffic(name).shadow
    number = _number(name, "shadow", version, running.version.number if running else None)
    if share is None:
        share = running.share if running and running.version.number == number else SHADOW_SHARE
    expected, trial = before.number if before else None, running.since if running else None
    registry.shadow(name, number, share, reason, expected, trial)
    return f"{name}: shadow is version {number}, shown {100 * share:g} % of the requests"


def stop(name: str, alias: str, storage: str, reason: str = BY_HAND) -> str:
    """End the canary or shadow; what is so now, in words."""
    from storage.registry import open_registry

    registry = open_registry(existing_store(storage))
    traffic = registry.traffic(name)
    running = traffic.canary if alias == "canary" else traffic.shadow
    registry.withdraw(name, alias, reason, trial=running.since if running else None)
    return f"{name}: there is no {alias} any more"


def _number(name: str, alias: str, asked: int | None, running: int | None) -> int:
    number = asked if asked is not None else running
    if number is None:
        raise ConfigError(
            f"{alias} of model {name!r}: no version is named, and none runs; millrace {alias} {name} VERSION"
        )
    return number
