"""The commands that look after a store: `millrace verify` and `millrace gc`."""

import argparse
import json
import sys
import time

from flows.aliases import existing_store
from storage.errors import ConfigError
from storage.root import data_root, sweep
from storage.tally import Tally

MEGABYTE = 1e6
HOUR_SECONDS = 3600.0
PLAIN_EVERY_SECONDS, LIVE_EVERY_SECONDS = 5.0, 0.2
Kinds = dict[str, tuple[int, int]]


def verify(arguments: argparse.Namespace) -> int:
    """Check every stored byte and every reference; 1 where something is wrong."""
    from storage.objects import open_store
    from storage.signing import open_keyring
    from storage.verification import verify_store

    store = open_store(existing_store(arguments.storage))
    progress = _Progress()
    report = verify_store(store, open_keyring(store.url), progress.show)
    progress.end()
    if arguments.json:
        sys.stdout.write(json.dumps(report.to_json()) + "\n")
        return 1 if report.problems else 0
    wrong: dict[str, int] = {}
    for problem in report.problems:
        kind = problem.key.partition("/")[0]
        wrong[kind] = wrong.get(kind, 0) + 1
    _write_table(report.kinds, wrong, report.orphans)
    for key in report.nondeterministic:
        sys.stdout.write(
            f"steps/{key}: made different outputs; nothing is damaged, but the step is not deterministic\n"
        )
    for problem in report.problems:
        sys.stdout.write(f"{problem}\n")
    sys.stdout.write(f"{report.objects} objects, {report.bytes / MEGABYTE:.1f} MB in {store.url}: ")
    if not report.problems:
        sys.stdout.write("all whole\n")
        return 0
    sys.stdout.write(f"{len(report.problems)} wrong; run the pipeline again: damaged steps are recomputed\n")
    return 1


def gc(arguments: argparse.Namespace) -> int:
    """Show what nothing names any more; with --delete remove it. On this machine also what lies in the data root for nobody."""
    from storage.downloads import collect_downloads
    from storage.garbage import collect
    from storage.marking import Retention
    from storage.objects import open_store
    from storage.signing import open_keyring

    for option in ("keep_runs", "keep_days"):
        if (getattr(arguments, option) or 0) < 0:
            raise ConfigError(f"--{option.replace('_', '-')}: found {getattr(arguments, option)}, wanted at least 0")
    store, grace = open_store(existing_store(arguments.storage)), arguments.grace * HOUR_SECONDS
    retention = Retention(arguments.keep_runs, arguments.keep_days)
    report = collect(store, open_keyring(store.url), grace, arguments.delete, retention, _say_waiting)
    downloads = collect_downloads(grace, arguments.delete)
    if arguments.delete and data_root().is_dir():
        sweep()
    if arguments.json:
        here = downloads.to_json() if downloads else None
        sys.stdout.write(json.dumps({"store": store.url, **report.to_json(), "downloads": here}) + "\n")
        return 0
    _show(f"{store.url}: {report.kept} objects are in use or young", report.tally, arguments.delete)
    if downloads is None:
        sys.stdout.write(f"{data_root() / 'cache'}: left as it is, other processes read there\n")
    elif downloads.kinds:
        _show(f"{data_root() / 'cache'}: what was downloaded", downloads, arguments.delete)
    if not arguments.delete and (report.tally.kinds or (downloads and downloads.kinds)):
        sys.stdout.write("nothing was removed; --delete does it\n")
    return 0


class _Progress:
    """How far a check is, on standard error: one line that changes on a terminal, else a line now and then."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._next = time.monotonic() + (0 if self._live else PLAIN_EVERY_SECONDS)

    def show(self, done: int, total: int) -> None:
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + (LIVE_EVERY_SECONDS if self._live else PLAIN_EVERY_SECONDS)
        line = f"checked {done / MEGABYTE:,.1f} of {total / MEGABYTE:,.1f} MB"
        sys.stderr.write(f"\r{line}" if self._live else f"{line}\n")
        sys.stderr.flush()

    def end(self) -> None:
        if self._live:
            sys.stderr.write("\r\x1b[K")


def _write_table(kinds: Kinds, wrong: dict[str, int], orphans: Kinds | None) -> None:
    sys.stdout.write(f"{'':<12} {'objects':>10} {'MB':>12} {'wrong':>8}  named by nothing\n")
    for kind, (number, size) in kinds.items():
        loose, loose_bytes = (orphans or {}).get(kind, (0, 0))
        unnamed = "not known" if orphans is None else f"{loose:,} ({loose_bytes / MEGABYTE:,.1f} MB)" if loose else ""
        line = f"{kind:<12} {number:>10,} {size / MEGABYTE:>12,.1f} {wrong.get(kind, 0):>8,}  {unnamed}"
        sys.stdout.write(f"{line.rstrip()}\n")


def _show(where: str, tally: Tally, deleted: bool) -> None:
    sys.stdout.write(f"{where}\n")
    for kind, (number, size) in tally.kinds.items():
        line = f"  {kind:<20} {number:>9,} {size / MEGABYTE:>12,.2f} MB{' removed' if deleted else ''}"
        sys.stdout.write(f"{line}\n")
    for name, size in tally.largest:
        sys.stdout.write(f"    {size / MEGABYTE:>10,.2f} MB  {name}\n")
    if not tally.kinds:
        sys.stdout.write("  nothing to collect\n")


def _say_waiting() -> None:
    sys.stderr.write("another collection is going on in this store; waiting for its end\n")
