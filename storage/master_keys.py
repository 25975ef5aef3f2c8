"""The master keys of encryption at rest: from the environment or a file, never from the store.

`MILLRACE_ENCRYPTION_KEY`, the Base64 of 32 bytes, or `MILLRACE_ENCRYPTION_KEY_FILE`, a file with it that only its owner reads: what
is written is encrypted with it. `MILLRACE_ENCRYPTION_OLD_KEYS`: earlier ones (separated by commas or spaces), by which what was written before is
read.
"""

import base64
import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from storage.errors import ConfigError

KEY, FILE, OLD = "MILLRACE_ENCRYPTION_KEY", "MILLRACE_ENCRYPTION_KEY_FILE", "MILLRACE_ENCRYPTION_OLD_KEYS"
_KEY_BYTES = 32
_PURPOSE = b"millrace master key"


@dataclass(frozen=True, repr=False)
class MasterKey:
    """`id`: names the key and tells nothing about it."""

    id: bytes
    key: bytes


@dataclass(frozen=True, repr=False)
class MasterKeys:
    """`current`: what is written is encrypted with it, None: nothing is; `known`: all that are here, by their ids."""

    current: MasterKey | None
    known: Mapping[bytes, bytes]

    @property
    def advice(self) -> str:
        """What to set."""
        return f"set {KEY} to it, or {FILE} to a file with it (earlier ones: {OLD})"


def master_keys() -> MasterKeys:
    """The keys that the environment names; ConfigError for one that cannot be used."""
    told = (os.environ.get(name, "") for name in (KEY, FILE, OLD))
    return _read(*told)


@lru_cache(maxsize=8)
def _read(text: str, file: str, old: str) -> MasterKeys:
    if text and file:
        raise ConfigError(f"{KEY} and {FILE}: found both, wanted one of them")
    current = _key(text, KEY) if text else _key(_content(Path(file)), str(file)) if file else None
    earlier = [_key(part, OLD) for part in old.replace(",", " ").split()]
    return MasterKeys(current, {key.id: key.key for key in [*earlier, *filter(None, [current])]})


def _key(text: str, source: str) -> MasterKey:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except ValueError:  # no Base64
        key = b""
    if len(key) != _KEY_BYTES:
        raise ConfigError(
            f"encryption key in {source}: cannot be read; wanted the Base64 of {_KEY_BYTES} random bytes: openssl rand -base64 {_KEY_BYTES}"
        )
    return MasterKey(hashlib.sha256(_PURPOSE + key).digest()[:8], key)


def _content(file: Path) -> str:
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
        if mode & 0o077:
            raise ConfigError(
                f"encryption key {file}: found mode {mode:04o}, wanted 0600: others could read it; chmod 600 {file}"
            )
        return file.read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise ConfigError(f"{FILE}: {file} cannot be read ({error.strerror})") from None
