"""API keys `id.secret`: 256 random bits, kept as a salted scrypt hash in a JSON file that only its owner reads.

`python -m tasks.service.keys create --file F --scope predict:digits` makes one and shows it once.
"""

import argparse
import base64
import hashlib
import hmac
import json
import os
import re
import secrets
import stat
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from storage.errors import ConfigError, MillraceError

SCOPE = re.compile(r"^predict:([a-z0-9][a-z0-9._-]{0,63}|\*)$")
TOKEN = re.compile(r"^([A-Za-z0-9_-]{1,64})\.([A-Za-z0-9_-]{1,128})$")
N, R, P = 2**14, 8, 1  # 16 MiB and about 30 ms a check: RFC 7914 §2


@dataclass(frozen=True)
class Key:
    """One entry of the key file; `expires` in seconds since 1970, None: never."""

    id: str
    hash: str
    scopes: tuple[str, ...]
    expires: float | None

    def allows(self, model: str) -> bool:
        """Whether the key may ask `model` for predictions."""
        return f"predict:{model}" in self.scopes or "predict:*" in self.scopes


NOBODY = Key("", f"scrypt${base64.b64encode(bytes(16)).decode()}${base64.b64encode(bytes(32)).decode()}", (), None)


def read_keys(path: Path) -> dict[str, Key]:
    """The keys in the file by their ids; ConfigError names what is wrong with it."""
    try:
        _refuse_open(path)
        entries = json.loads(path.read_bytes())["keys"]
        return {entry["id"]: _key(entry) for entry in entries}
    except OSError as error:
        raise ConfigError(
            f"key file {path}: {error.strerror}; make it with `python -m tasks.service.keys create`"
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        wanted = '{"keys": [{"id", "hash", "scopes", "expires"}]}'
        raise ConfigError(f"key file {path}: found {type(error).__name__} {error}, wanted {wanted}") from None


def check_secret(key: Key | None, secret: str) -> bool:
    """Whether `secret` is the key's; takes the same time for a key that does not exist. About 30 ms."""
    _, salt, wanted = (key or NOBODY).hash.split("$")
    found = _scrypt(secret, base64.b64decode(salt))
    return hmac.compare_digest(found, base64.b64decode(wanted)) and key is not None


def split_token(token: str) -> tuple[str, str] | None:
    """`id.secret` in its two parts, or None for anything else."""
    match = TOKEN.match(token)
    return (match[1], match[2]) if match else None


def create_key(path: Path, scopes: Iterable[str], expires: datetime | None = None) -> str:
    """Add a new key to the file (made if absent, mode 0600) and return `id.secret`, which is kept nowhere."""
    scopes = list(scopes)
    for scope in scopes:
        if not SCOPE.match(scope):
            raise ConfigError(f"scope: found {scope!r}, wanted predict:MODEL or predict:*")
    if not scopes:
        raise ConfigError("scopes: found none, wanted predict:MODEL or predict:*")
    data = {"keys": []} if not path.exists() else {"keys": [_entry(key) for key in read_keys(path).values()]}
    name, secret, salt = secrets.token_hex(8), secrets.token_urlsafe(32), secrets.token_bytes(16)
    hashed = "$".join(["scrypt", *(base64.b64encode(part).decode() for part in (salt, _scrypt(secret, salt)))])
    data["keys"].append(_entry(Key(name, hashed, tuple(scopes), expires.timestamp() if expires else None)))
    _write(path, data)
    return f"{name}.{secret}"


def _key(entry: Mapping[str, Any]) -> Key:
    kind, salt, digest = entry["hash"].split("$")
    if kind != "scrypt" or len(base64.b64decode(salt)) < 16 or len(base64.b64decode(digest)) != 32:
        raise ValueError("a hash that is not scrypt$salt$hash")
    expires = entry.get("expires")
    until = datetime.fromisoformat(expires).timestamp() if expires else None
    return Key(str(entry["id"]), entry["hash"], tuple(entry["scopes"]), until)


def _entry(key: Key) -> dict[str, Any]:
    expires = datetime.fromtimestamp(key.expires, UTC).isoformat() if key.expires is not None else None
    return {"id": key.id, "hash": key.hash, "scopes": list(key.scopes), "expires": expires}


def _refuse_open(path: Path) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise ConfigError(
            f"key file {path}: found mode {mode:04o}, wanted 0600: others could read or change it; chmod 600 {path}"
        )


def _write(path: Path, data: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(data, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def _scrypt(secret: str, salt: bytes) -> bytes:
    return hashlib.scrypt(secret.encode(), salt=salt, n=N, r=R, p=P, dklen=32, maxmem=2**26)


def main(argv: list[str] | None = None) -> int:
    """Make a key; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tasks.service.keys", description="Keys of the prediction service.")
    create = parser.add_subparsers(dest="command", required=True).add_parser(
        "create", help="make a key and show it once"
    )
    create.add_argument("--file", type=Path, required=True, help="key file, made if absent")
    create.add_argument("--scope", action="append", metavar="predict:MODEL", help="what it may do (default: predict:*)")
    create.add_argument("--days", type=float, help="days until it expires (default: never)")
    arguments = parser.parse_args(argv)
    expires = datetime.now(UTC) + timedelta(days=arguments.days) if arguments.days else None
    try:
        key = create_key(arguments.file, arguments.scope or ["predict:*"], expires)
    except MillraceError as error:
        sys.stderr.write(f"millrace: {error}\n")
        return 2
    sys.stdout.write(json.dumps({"key": key}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
