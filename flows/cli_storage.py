"""`millrace storage check`: what a store can do, in plain words."""

import argparse
import json
import sys
import textwrap

from storage.errors import ConfigError, NotFound
from storage.root import default_storage

MARKS = {"good": "✓", "poor": "!", "bad": "✗"}
WIDTH = 100


def check(arguments: argparse.Namespace) -> int:
    """Try the store; 1 where Millrace cannot work there."""
    from storage.checking import check_store
    from storage.engines import locate

    if not 1 <= arguments.large_mb <= 10_000:
        raise ConfigError(f"--large-mb: found {arguments.large_mb}, wanted 1 to 10000")
    location = locate(arguments.storage or default_storage())
    if location.folder and not location.folder.is_dir():
        raise NotFound(f"store {location.folder}: no folder is there; make it, or give another")
    findings = []
    for finding in check_store(location.url, arguments.large_mb):
        findings.append(finding)
        if not arguments.json:
            _show(finding.name, MARKS[finding.state], finding.found, finding.means)
    usable = all(finding.state != "bad" for finding in findings)
    if arguments.json:
        checks = {f.name: {"state": f.state, "found": f.found, "means": f.means, **f.figures} for f in findings}
        sys.stdout.write(json.dumps({"store": location.url, "usable": usable, "checks": checks}) + "\n")
    else:
        sys.stdout.write(
            f"\n{location.url}: {'Millrace can work here' if usable else 'Millrace cannot work here, see ✗'}\n"
        )
    return 0 if usable else 1


def _show(name: str, mark: str, found: str, means: str) -> None:
    sys.stdout.write(f"{mark} {name:<14} {found}\n")
    sys.stdout.write(textwrap.fill(means, WIDTH, initial_indent=" " * 17, subsequent_indent=" " * 17) + "\n")
    sys.stdout.flush()
