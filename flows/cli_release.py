"""The commands that say which version serves: promote, rollback, canary, shadow, status, history."""

import argparse
import json
import sys
import time
from typing import Any

from flows.aliases import begin_canary, begin_shadow, existing_store, move_back, move_forward, stop
from flows.serving_wording import history_text, serving_at, status_of, status_text, tenure_json, then_text
from flows.when import read_time, stamp
from storage.errors import ConfigError
from storage.registry import open_registry

SHARES = ("error_margin", "slow_margin", "wrong_margin", "alpha")  # which are per cent on the command line
RULES = (*SHARES, "automatic", "minimum_requests", "slower", "feedback", "maximum_hours")


def promote(arguments: argparse.Namespace) -> int:
    """Point the alias at a version, by hand; without one, at the canary."""
    return _say(move_forward(arguments.name, arguments.version, arguments.alias, arguments.storage, arguments.reason))


def rollback(arguments: argparse.Namespace) -> int:
    """Point the alias at the version before, or end the canary."""
    return _say(move_back(arguments.name, arguments.alias, arguments.storage, arguments.reason))


def canary(arguments: argparse.Namespace) -> int:
    """Begin, change or stop the canary."""
    rules = {name: getattr(arguments, name) for name in RULES if getattr(arguments, name) is not None}
    rules |= {name: rules[name] / 100 for name in SHARES if name in rules}
    share = _share(arguments)
    if arguments.stop:
        return _stop(arguments, rules)
    return _say(begin_canary(arguments.name, arguments.version, share, rules, arguments.storage, arguments.reason))


def shadow(arguments: argparse.Namespace) -> int:
    """Begin, change or stop the shadow."""
    share = _share(arguments)
    if arguments.stop:
        return _stop(arguments, {})
    return _say(begin_shadow(arguments.name, arguments.version, share, arguments.storage, arguments.reason))


def status(arguments: argparse.Namespace) -> int:
    """What serves now."""
    found = status_of(open_registry(existing_store(arguments.storage)), arguments.name)
    return _tell(arguments, found, status_text(found))


def history(arguments: argparse.Namespace) -> int:
    """What served when."""
    moment = read_time(arguments.at, time.time()) if arguments.at is not None else None
    tenures = open_registry(existing_store(arguments.storage)).history(arguments.name)
    if moment is None:
        told = {"model": arguments.name, "history": [tenure_json(tenure) for tenure in tenures]}
        return _tell(arguments, told, history_text(arguments.name, tenures))
    then = serving_at(tenures, moment)
    told = {"model": arguments.name, "at": stamp(moment), "served": [tenure_json(tenure) for tenure in then]}
    return _tell(arguments, told, then_text(arguments.name, moment, then))


def _share(arguments: argparse.Namespace) -> float | None:
    """As a fraction. Zero and what is no number are the registry's to refuse, not to be taken for a share that is not named."""
    if arguments.share is None:
        return None
    if not 0 < arguments.share <= 100:
        raise ConfigError(f"--share {arguments.share:g}: wanted above 0 and at most 100 (per cent)")
    return arguments.share / 100


def _stop(arguments: argparse.Namespace, rules: dict[str, Any]) -> int:
    if arguments.version is not None or arguments.share is not None or rules:
        raise ConfigError(f"--stop ends the {arguments.command} that runs: wanted no version, share or rule beside it")
    return _say(stop(arguments.name, arguments.command, arguments.storage, arguments.reason))


def _say(text: str) -> int:
    sys.stdout.write(f"{text}\n")
    return 0


def _tell(arguments: argparse.Namespace, told: Any, text: str) -> int:
    sys.stdout.write(json.dumps(told) + "\n" if arguments.json else text)
    return 0
