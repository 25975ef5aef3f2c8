"""The commands about what services captured: `millrace captures` and `millrace forget`."""

import argparse
import json
import math
import sys
import time
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from flows.aliases import existing_store
from flows.when import read_time
from storage.errors import ConfigError
from storage.objects import ObjectStore, open_store

MEGABYTE = 1e6


def captures(arguments: argparse.Namespace) -> int:
    """List what was captured by version, write it with its labels to one Parquet file, or delete what is too old."""
    if arguments.expire is not None:
        return _expire(arguments)
    since = read_time(arguments.since, time.time()) if arguments.since else 0.0
    file = Path(arguments.export)
    if arguments.export and (file.suffix != ".parquet" or not file.absolute().parent.is_dir()):
        raise ConfigError(f"--export: found {arguments.export!r}, wanted a .parquet file in a folder that is there")
    store = _store_of(arguments)
    return _export(arguments, store, since, file) if arguments.export else _list(arguments, store, since)


def _expire(arguments: argparse.Namespace) -> int:
    """Delete by age, as the recorder of a service does every hour: for where none runs any more."""
    from storage.audit import record
    from tasks.captures.expiring import expire

    if arguments.export or arguments.version is not None or arguments.since:
        raise ConfigError(
            "--expire: found --export, --version or --since beside it, wanted it alone: all of the model that is older goes"
        )
    if not 0 < arguments.expire < math.inf:
        raise ConfigError(f"--expire: found {arguments.expire:g}, wanted days, more than 0")
    store = _store_of(arguments)
    record(store.url, "expire-captures", {"model": arguments.name, "keep_days": arguments.expire})
    gone = expire(store, arguments.expire, time.time(), arguments.name)
    told = {"model": arguments.name, "keep_days": arguments.expire, "deleted": gone}
    said = f"{arguments.name}: {gone:,} files older than {arguments.expire:g} days deleted"
    sys.stdout.write((json.dumps(told) if arguments.json else said) + "\n")
    return 0


def forget(arguments: argparse.Namespace) -> int:
    """Erase a subject's rows and labels."""
    from storage.audit import record
    from tasks.captures.forgetting import forget as erase

    store = _store_of(arguments)
    recorded = None if arguments.dry_run else partial(record, store.url, "forget-subject")
    erasure = erase(store, arguments.name, arguments.subject, recorded, _say_waiting)
    if arguments.json:
        told = {"model": arguments.name, "dry_run": arguments.dry_run, **asdict(erasure)}
        sys.stdout.write(json.dumps(told) + "\n")
        return 0
    verb = "would be erased" if arguments.dry_run else "erased"
    sys.stdout.write(f"{arguments.name}: {erasure.rows:,} rows in {erasure.files:,} files {verb}, ")
    sys.stdout.write(f"and {erasure.labels:,} labels in {erasure.label_files:,}\n")
    if erasure.nameless:
        sys.stdout.write(f"{erasure.nameless:,} rows name no subject: whose they are nobody can tell\n")
    if not arguments.dry_run:
        sys.stdout.write("this covers what is stored now: run it again for what a service captures from here on, and\n")
        sys.stdout.write("erase exports, and older versions that the bucket itself may keep, by their own means\n")
    return 0


def _list(arguments: argparse.Namespace, store: ObjectStore, since: float) -> int:
    from tasks.captures.joining import summaries

    found = summaries(store, arguments.name, arguments.version, since)
    if arguments.json:
        told = {"model": arguments.name, "versions": [one.to_json() for one in found]}
        sys.stdout.write(json.dumps(told) + "\n")
        return 0
    for one in found:
        share = f"{100 * one.labelled / one.rows:.1f} %" if one.rows else "none"
        sys.stdout.write(
            f"version {one.version:<4} {one.rows:>10,} rows  {share:>7} labelled  {one.files:>6,} files "
            f"{one.bytes / MEGABYTE:>9,.2f} MB  {one.hours:,} hours, {one.first_hour} to {one.last_hour} UTC\n"
        )
    if not found:
        sys.stdout.write(f"{arguments.name}: nothing captured; a service does with --capture SHARE\n")
    return 0


def _export(arguments: argparse.Namespace, store: ObjectStore, since: float, file: Path) -> int:
    from tasks.captures.joining import export

    rows = export(store, arguments.name, arguments.version, since, file)
    told: dict[str, Any] = {"model": arguments.name, "file": str(file), "rows": rows}
    sys.stdout.write((json.dumps(told) if arguments.json else f"{rows:,} rows in {file}") + "\n")
    return 0


def _store_of(arguments: argparse.Namespace) -> ObjectStore:
    """The store, once it is known that it has the model; NotFound names the nearest."""
    from storage.registry import open_registry

    store = open_store(existing_store(arguments.storage))
    open_registry(store.url).versions(arguments.name)
    return store


def _say_waiting() -> None:
    sys.stderr.write("somebody else is being forgotten in this store; waiting for the end of that\n")
