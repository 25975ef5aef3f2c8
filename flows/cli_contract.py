"""`millrace contract`: the rules that a data set fulfils, as YAML to be read, changed and enforced."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from flows.aliases import existing_store
from flows.datasets import named_dataset
from storage.errors import ConfigError
from storage.objects import open_store
from tasks.frames.stored_contracts import read_contract

OPENING = """\
# What the rows of data set {digest} are like ({rows:,} rows, {columns} columns), as rules.
# To enforce it: change what you like, then say  data: {{contract: {file}}}  in the configuration, or
#   millrace run … --set data.contract={file}
# handling: by rule quarantine (where nothing is said), fix, warn or fail; max_share: where the run stops.
"""


def contract(arguments: argparse.Namespace) -> int:
    """Show or write the contract of a run's, pipeline's or digest's data set."""
    store = open_store(existing_store(arguments.storage))
    digest = named_dataset(store, arguments.what).digest
    found = read_contract(store, digest)
    if arguments.json:
        sys.stdout.write(json.dumps({"dataset": digest, "contract": found.rules}) + "\n")
        return 0
    file = Path(arguments.write or "contract.yaml")
    opening = OPENING.format(digest=digest[:12], rows=found.rows, columns=len(found.rules["columns"]), file=file)
    text = opening + _yaml(found.rules)
    if not arguments.write:
        sys.stdout.write(text)
        return 0
    if file.exists():
        raise ConfigError(f"--write {file}: is there already, and may be somebody's work; name another file")
    file.write_text(text, encoding="utf-8")
    sys.stdout.write(f"wrote {file}; enforce it with --set data.contract={file}\n")
    return 0


def _yaml(rules: dict[str, Any]) -> str:
    import yaml

    return yaml.safe_dump(rules, sort_keys=False, allow_unicode=True, width=120, default_flow_style=None)
