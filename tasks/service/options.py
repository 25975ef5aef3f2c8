"""The options of `python -m tasks.service`, which `millrace serve` passes on; what is wrong with them is said before anything is loaded."""

import argparse
import ipaddress
from pathlib import Path
from typing import Any

from storage.errors import ConfigError
from storage.root import default_storage
from tasks.service.limits import Limits
from tasks.service.settings import Settings, load_settings
from tasks.service.tracing import check_tracing


def parser() -> argparse.ArgumentParser:
    """All options."""
    top = argparse.ArgumentParser(prog="python -m tasks.service", description="Serve released models over HTTP.")
    top.add_argument("--storage", metavar="URL", default=default_storage(), help="folder or s3://bucket/prefix")
    what = "a model, and @ALIAS to follow another alias than --alias; may come several times"
    top.add_argument("--model", metavar="NAME[@ALIAS]", required=True, action="append", help=what)
    which = top.add_mutually_exclusive_group()
    which.add_argument("--alias", default="champion", help="serve and follow this alias")
    which.add_argument("--version", metavar="N", type=int, help="serve this version and no other")
    top.add_argument("--host", default="127.0.0.1")
    top.add_argument("--port", type=int, default=0, help="0: a free one")
    top.add_argument("--keys", metavar="FILE", type=Path, help="API keys; `millrace keys` makes them")
    top.add_argument("--tokens", metavar="FILE", type=Path, help="settings of JSON web tokens that are taken like keys")
    top.add_argument("--no-auth", action="store_true", help="ask for no key; only on the loopback address")
    top.add_argument("--settings", metavar="FILE", type=Path, help="YAML: limits, tls, capture, workers")
    top.add_argument("--workers", metavar="N", type=int, help="processes that answer (default: one a core)")
    top.add_argument("--capture", metavar="SHARE", type=float, help="share of the requests that is kept, 0 to 1")
    top.add_argument("--poll-seconds", type=float, help="seconds between looks at the alias")
    top.add_argument("--max-body-mib", type=float, help=f"greatest body (default: {Limits().body_bytes / 2**20:g})")
    top.add_argument("--die-with-parent", action="store_true", help="end at once when standard input ends")
    return top


def check(arguments: argparse.Namespace) -> Settings:
    """The settings; ConfigError for what cannot be."""
    if not 0 <= arguments.port <= 65_535:
        raise ConfigError(f"--port: found {arguments.port}, wanted 0 (a free one) to 65535")
    if arguments.version is not None and len(arguments.model) > 1:
        raise ConfigError("--version: found several models, wanted one; name a version's alias as --model NAME@ALIAS")
    check_tracing()
    settings = load_settings(arguments.settings, _changes(arguments))
    with_keys = arguments.keys is not None or arguments.tokens is not None
    if with_keys and arguments.no_auth:
        raise ConfigError("--no-auth: found keys or tokens beside it; wanted one or the other")
    if not with_keys and not arguments.no_auth:
        raise ConfigError(
            "found neither --keys nor --no-auth; give a file of API keys, or --no-auth on this machine only"
        )
    if arguments.no_auth and not is_loopback(arguments.host):
        raise ConfigError(
            f"--no-auth: found the host {arguments.host!r}, wanted 127.0.0.1: others could ask too; use --keys"
        )
    return settings


def wanted(arguments: argparse.Namespace) -> dict[str, str | int]:
    """By model the alias to follow, or the version's number."""
    pairs = [text.partition("@") for text in arguments.model]
    default = arguments.alias if arguments.version is None else arguments.version
    return {name: alias or default for name, _, alias in pairs}


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach it."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _changes(arguments: argparse.Namespace) -> dict[str, Any]:
    body = arguments.max_body_mib
    changes = {
        "workers": arguments.workers,
        "capture.share": arguments.capture,
        "poll_seconds": arguments.poll_seconds,
        "limits.body_bytes": None if body is None else round(body * 2**20),
    }
    return {name: value for name, value in changes.items() if value is not None}
