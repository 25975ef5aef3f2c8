"""The commands that look after a store: `millrace verify`, `millrace gc`."""

import argparse
import json
import sys

from flows.aliases import existing_store
from storage.errors import ConfigError
from storage.root import data_root
from storage.tally import Tally

MEGABYTE = 1e6
HOUR_SECONDS = 3600.0


def verify(arguments: argparse.Namespace) -> int:
    """Check every stored byte; 1 where something is wrong."""
    from storage.objects import open_store
    from storage.signing import open_keyring
    from storage.verification import verify_store

    storage = existing_store(arguments.storage)
    store = open_store(storage)
    report = verify_store(store, open_keyring(store.url))
    if arguments.json:
        sys.stdout.write(json.dumps(report.to_json()) + "\n")
    else:
        for problem in report.problems:
            sys.stdout.write(f"{problem}\n")
        sys.stdout.write(f"{report.objects} objects, {report.bytes / 1e6:.1f} MB in {store.url}: ")
        sys.stdout.write(
            "all whole\n"
            if not report.problems
            else f"{len(report.problems)} wrong; run the pipeline again: damaged steps are recomputed\n"
        )
    return 1 if report.problems else 0


def gc(arguments: argparse.Namespace) -> int:
    """Show what nothing names any more; with --delete remove it. On this machine also what dead processes left in the data root."""
    from storage.garbage import collect
    from storage.marking import Retention
    from storage.objects import open_store
    from storage.rubbish import collect_rubbish
    from storage.signing import open_keyring

    for option in ("keep_runs", "keep_days"):
        if (getattr(arguments, option) or 0) < 0:
            raise ConfigError(f"--{option.replace('_', '-')}: found {getattr(arguments, option)}, wanted at least 0")
    store, grace = open_store(existing_store(arguments.storage)), arguments.grace * HOUR_SECONDS
    retention = Retention(arguments.keep_runs, arguments.keep_days)
    report = collect(store, open_keyring(store.url), grace, arguments.delete, retention, _waiting)
    rubbish = collect_rubbish(grace, arguments.delete)
    if arguments.json:
        here = {"alone": rubbish.alone, **rubbish.tally.to_json()}
        sys.stdout.write(json.dumps({"store": store.url, **report.to_json(), "this_machine": here}) + "\n")
        return 0
    _show(f"{store.url}: {report.kept} objects are in use or young", report.tally, arguments.delete)
    if rubbish.alone:
        _show(f"{data_root()}, this machine's data root", rubbish.tally, arguments.delete)
    else:
        sys.stdout.write(f"{data_root()}: left as it is, other processes are at work there\n")
    if not arguments.delete and (report.tally.kinds or rubbish.tally.kinds):
        sys.stdout.write("nothing was removed; --delete does it\n")
    return 0


def _show(where: str, tally: Tally, deleted: bool) -> None:
    sys.stdout.write(f"{where}\n")
    for kind, (number, size) in tally.kinds.items():
        sys.stdout.write(
            f"  {kind:<28} {number:>9,}  {size / MEGABYTE:>12,.2f} MB  {'removed' if deleted else ''}".rstrip() + "\n"
        )
    for name, size in tally.largest:
        sys.stdout.write(f"    {size / MEGABYTE:>10,.2f} MB  {name}\n")
    if not tally.kinds:
        sys.stdout.write("  nothing to collect\n")


def _waiting() -> None:
    sys.stderr.write("another collection is going on in this store; waiting for its end\n")
