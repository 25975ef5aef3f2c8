"""The arguments of the commands that say which version serves: promote, rollback, canary, shadow, status, history."""

import argparse
from collections.abc import Callable

from tasks.scoring.policy import FEEDBACK, Policy

Command = Callable[..., argparse.ArgumentParser]


def add_release(commands, command: Command) -> None:
    """Add them to the parser's `commands`, each made by `command(commands, name, text)`."""
    promote = _named(command(commands, "promote", "point a model's alias at a version; without one: at its canary"))
    promote.add_argument("version", metavar="VERSION", type=int, nargs="?", help="default: the canary that runs")
    rollback = _named(
        command(commands, "rollback", "point a model's alias back at the version before, or end its canary")
    )
    for one in (promote, rollback):
        one.add_argument("--alias", default="champion")
        _add_reason(one)
    _add_canary(_named(command(commands, "canary", "let a version answer a share of a model's requests, on trial")))
    _add_shadow(_named(command(commands, "shadow", "show a version a model's requests, and nobody its answers")))
    status = _named(command(commands, "status", "what serves of a model, and what is on trial"))
    history = _named(command(commands, "history", "which version of a model served when, and why"))
    history.add_argument(
        "--at",
        metavar="TIME",
        help="what served then: 2026-11-21T14:03, with Z or +02:00 or else local; 14:03 is the last time that it was so late",
    )
    for one in (status, history):
        one.add_argument("--json", action="store_true", help="one JSON object on stdout")


def _named(command: argparse.ArgumentParser) -> argparse.ArgumentParser:
    command.add_argument("name", metavar="NAME")
    return command


def _add_reason(command: argparse.ArgumentParser) -> None:
    command.add_argument("--reason", metavar="TEXT", default="by hand", help="kept in the model's log")


def _add_canary(canary: argparse.ArgumentParser) -> None:
    default = Policy()
    _add_trial(canary, "10, or as it is")
    number = {"type": float, "metavar": "PERCENT"}
    canary.add_argument(
        "--automatic",
        action=argparse.BooleanOptionalAction,
        help="whether the service promotes it or rolls it back by itself (default: it does)",
    )
    canary.add_argument(
        "--minimum-requests", type=int, metavar="N", help=f"before it is promoted (default: {default.minimum_requests})"
    )
    canary.add_argument(
        "--error-margin", **number, help=f"more failures that are as good (default: {100 * default.error_margin:g})"
    )
    canary.add_argument(
        "--slower",
        type=float,
        metavar="TIMES",
        help=f"what counts as slow: so many times the champion's time (default: {default.slower:g})",
    )
    canary.add_argument(
        "--slow-margin", **number, help=f"more slow batches that are as good (default: {100 * default.slow_margin:g})"
    )
    canary.add_argument(
        "--wrong-margin",
        **number,
        help=f"more wrong answers that are as good (default: {100 * default.wrong_margin:g})",
    )
    canary.add_argument(
        "--alpha", **number, help=f"greatest probability of a wrong decision (default: {100 * default.alpha:g})"
    )
    canary.add_argument(
        "--feedback", choices=FEEDBACK, help=f"whether feedback on answers counts (default: {default.feedback})"
    )
    canary.add_argument(
        "--maximum-hours",
        type=float,
        metavar="H",
        help="withdraw it when it is undecided for so long (default: 0, never)",
    )


def _add_shadow(shadow: argparse.ArgumentParser) -> None:
    _add_trial(shadow, "100, or as it is")


def _add_trial(command: argparse.ArgumentParser, default_share: str) -> None:
    command.add_argument("version", metavar="VERSION", type=int, nargs="?", help="default: the one that runs")
    command.add_argument("--share", type=float, metavar="PERCENT", help=f"of the requests (default: {default_share})")
    command.add_argument("--stop", action="store_true", help="end it; its version is as good as before")
    _add_reason(command)
