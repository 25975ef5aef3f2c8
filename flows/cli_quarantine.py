"""`millrace quarantine`: the rows that a run refused, by rule; exported; or run through again."""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from flows.aliases import existing_store
from flows.datasets import Named, named_dataset
from storage.errors import ConfigError
from storage.objects import ObjectStore, open_store
from tasks.frames.quarantine import Refused, by_rule, export, open_quarantine, refused_tables

FILES_NAMED = 3
RAW_SHOWN = 120


def quarantine(arguments: argparse.Namespace) -> int:
    """Show, export or replay the refused rows of a run, pipeline or data set."""
    store = open_store(existing_store(arguments.storage))
    named = named_dataset(store, arguments.what)
    if arguments.replay:
        return _replay(arguments, store, named)
    manifest = open_quarantine(store, named.digest)
    if arguments.export:
        rows = export(store, manifest, arguments.rule, Path(arguments.export))
        return _tell(
            arguments, {"file": arguments.export, "rows": rows}, f"{rows:,} refused rows in {arguments.export}\n"
        )
    found = by_rule(store, manifest, arguments.rule, arguments.limit)
    rows_in = manifest.meta["rows_in"]
    told = {"dataset": named.digest, "rows_in": rows_in, "rules": [_told(rule, one) for rule, one in found.items()]}
    return _tell(arguments, told, "\n".join(_text(named.digest, rows_in, found)) + "\n")


def _told(rule: str, refused: Refused) -> dict[str, Any]:
    return {"rule": rule, "rows": refused.rows, "files": dict(refused.files), "examples": refused.examples}


def _text(digest: str, rows_in: int, found: Mapping[str, Refused]) -> Iterator[str]:
    total = sum(one.rows for one in found.values())
    yield (
        f"data set {digest[:12]}: {total:,} of {rows_in:,} rows refused"
        if total
        else f"data set {digest[:12]}: no row was refused"
    )
    for rule, one in found.items():
        named = ", ".join(f"{file} ({rows:,})" for file, rows in one.files.most_common(FILES_NAMED))
        more = f" and {len(one.files) - FILES_NAMED:,} more files" if len(one.files) > FILES_NAMED else ""
        yield f"\n{rule}: {one.rows:,} {'row' if one.rows == 1 else 'rows'}, in {named}{more}"
        for row in one.examples:
            raw = " ".join(row["raw"].split())
            number = f" row {row['_row']}" if row["_row"] else ""
            yield f"  {row['_file']}{number}: {row['reason']}"
            if raw:
                yield f"    {raw[:RAW_SHOWN]}{'…' if len(raw) > RAW_SHOWN else ''}"


def _replay(arguments: argparse.Namespace, store: ObjectStore, named: Named) -> int:
    from tasks.frames.replaying import replay

    section = _section(arguments, named.run)
    tables = refused_tables(store, open_quarantine(store, named.digest), arguments.rule)
    found = replay(section, store, tables, lambda event: None)
    return _tell(arguments, {"dataset": named.digest, **vars(found)}, "\n".join(_replayed(named.digest, found)) + "\n")


def _section(arguments: argparse.Namespace, run: Mapping[str, Any] | None) -> Any:
    """The data section of today: that of the run, with the configuration file and the options over it."""
    from flows.settings import load_config, merge, nest, parse_override, resolve

    config: dict[str, Any] = dict(run["config"]) if run else {}
    if arguments.config:
        config = merge(config, load_config(arguments.config))
    for text in arguments.set:
        config = merge(config, nest(*parse_override(text)))
    if not config:
        raise ConfigError(
            f"{arguments.what}: no run of it is known, so its sources are not; give its configuration: --config FILE"
        )
    return resolve(config=config).data


def _replayed(digest: str, found: Any) -> Iterator[str]:
    parts = {"pass now": found.passed, "repeat a key": found.undecided, "refused": found.refused, "gone": found.gone}
    total = sum(part.total() for part in parts.values())
    yield f"data set {digest[:12]}: {found.passed.total():,} of {total:,} refused rows pass now"
    for name, part in parts.items():
        for rule, rows in part.most_common():
            example = found.examples.get(rule, "") if part is found.refused else ""
            yield f"  {name:<13}{rows:>9,}  {rule}{f', e.g. {example}' if example else ''}"
    yield "nothing was changed; a run with this configuration has them in, and computes only what the changes reach"


def _tell(arguments: argparse.Namespace, told: Any, text: str) -> int:
    sys.stdout.write(json.dumps(told) + "\n" if arguments.json else text)
    return 0
