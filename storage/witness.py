"""How far this machine has seen each log: kept beside its keys, so that a log whose end was taken away does not pass for whole.

A chain shows each change but one: that its last entries are gone. A machine that has never seen the log cannot tell either, and says nothing.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from storage.entries import Entry, Log
from storage.signing import Keyring


@dataclass(frozen=True)
class _Seen:
    store: str
    log: str
    index: int
    digest: str
    time: float


def see(keyring: Keyring, url: str, log: Log, entry: Entry) -> None:
    """Remember the log's last entry. Nothing is remembered where the keys' folder may only be read."""
    file, seen = _file(keyring, url, log), _Seen(url, log.folder, entry.index, entry.digest, entry.time)
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=file.parent, prefix=".new-", delete=False) as new:
            json.dump(asdict(seen), new)
        os.replace(new.name, file)


def missed(keyring: Keyring, url: str, log: Log, digest_of: Callable[[int], str | None]) -> str:
    """What is wrong, in words, if the entry that was seen last is not the one there now; `digest_of`: of the entry there, None if none."""
    file = _file(keyring, url, log)
    seen = _read(file)
    found = digest_of(seen.index) if seen else None
    if seen is None or found == seen.digest:
        return ""
    when = datetime.fromtimestamp(seen.time, UTC).strftime("%Y-%m-%d %H:%M UTC")
    what = "is gone: the end of the log was taken away" if found is None else "is another now: the log was replaced"
    return (
        f"entry {seen.index} of {log.title}, written {when} and seen from this machine, {what}; "
        f"restore {log.folder} from a backup, or if the store was made anew, delete {file}"
    )


def _file(keyring: Keyring, url: str, log: Log) -> Path:
    name = hashlib.sha256(f"{url}\n{log.folder}".encode()).hexdigest()[:32]
    return keyring.folder / "seen" / f"{name}.json"


def _read(file: Path) -> _Seen | None:
    try:
        return _Seen(**json.loads(file.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
