"""`millrace audit`: who did what, in one list, from logs that are checked while they are read."""

import argparse
import json
import re
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from flows.aliases import existing_store
from flows.when import read_time, shown
from storage.audit import AUDIT, Checked, check_log
from storage.entries import Entry, model_log

_DIGEST = re.compile(r"[0-9a-f]{64}")
_DIGITS = 12  # of a digest, as in `millrace models`


def audit(arguments: argparse.Namespace) -> int:
    """List the acts in the order of their times; 1 where a log is broken."""
    since = read_time(arguments.since, time.time()) if arguments.since else 0.0
    logs = _checked(existing_store(arguments.storage), arguments.model)
    acts = [(checked, entry) for checked in logs for entry in checked.entries if _concerns(checked, entry, arguments)]
    acts = sorted((act for act in acts if act[1].time >= since), key=lambda act: act[1].time)
    broken = [checked for checked in logs if checked.problem]
    if arguments.json:
        states = [{"log": c.log.folder, "entries": len(c.entries), "problem": c.problem} for c in logs]
        told = {"acts": [_told(*act) for act in acts], "logs": states, "whole": not broken}
        sys.stdout.write(json.dumps(told, ensure_ascii=False) + "\n")
        return 1 if broken else 0
    for act in acts:
        sys.stdout.write(_line(_told(*act)) + "\n")
    for checked in broken:
        sys.stdout.write(f"BROKEN  {checked.problem}\n")
    entries = sum(len(checked.entries) for checked in logs)
    ending = f"{len(broken)} broken" if broken else "every chain is whole"
    sys.stdout.write(f"{entries} entries in {len(logs)} log{'s' * (len(logs) > 1)}: {ending}\n")
    return 1 if broken else 0


def _checked(storage: str, model: str) -> list[Checked]:
    from storage.objects import open_store
    from storage.registry import open_registry
    from storage.signing import open_keyring

    store, registry = open_store(storage), open_registry(storage)
    names = registry.names()
    if model and model not in names:
        registry.versions(model)  # which names the nearest
    logs = [AUDIT, *(model_log(name) for name in names if not model or name == model)]
    return [check_log(store, open_keyring(store.url), log) for log in logs]


def _concerns(checked: Checked, entry: Entry, arguments: argparse.Namespace) -> bool:
    return not arguments.model or checked.log is not AUDIT or entry.fields.get("model") == arguments.model


def _told(checked: Checked, entry: Entry) -> dict[str, Any]:
    fields = {name: value for name, value in entry.fields.items() if name not in ("who", "release_signature")}
    return {
        "time": datetime.fromtimestamp(entry.time, UTC).isoformat(timespec="seconds"),
        "log": checked.log.folder,
        "index": entry.index,
        "model": fields.pop("model", "") if checked.log is AUDIT else checked.log.name,
        "action": entry.action,
        "who": entry.fields.get("who", ""),
        "signed_by": entry.key_id,
        "fields": fields,
    }


def _line(act: dict[str, Any]) -> str:
    when = shown(datetime.fromisoformat(act["time"]).timestamp())
    said = " ".join(f"{name}={text}" for name, text in _worded(act["fields"]))
    by = f"by {act['who']}, " if act["who"] else ""
    return "  ".join(filter(None, (when, act["model"], act["action"], said, f"({by}signed {act['signed_by'][:8]})")))


def _worded(fields: dict[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """Every value that says something, in few words."""
    for name, value in fields.items():
        if isinstance(value, dict):
            yield from _worded(value, f"{above}{name}.")
        elif isinstance(value, str) and _DIGEST.fullmatch(value):
            yield above + name, value[:_DIGITS]
        elif value not in (None, "", False, []):
            yield above + name, json.dumps(value, ensure_ascii=False) if not isinstance(value, str) else repr(value)
