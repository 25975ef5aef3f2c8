"""API keys `id.secret`: 256 random bits, kept as a salted scrypt hash in a JSON file that only its owner reads.

A key may do what its scopes say: `predict:MODEL` and `feedback:MODEL` (`*`: every model), and `metrics`, which is to see the service's
figures. `python -m tasks.service.keys` and `millrace keys` make, list, revoke and rotate them.
"""

import base64
import difflib
import fcntl
import hashlib
import hmac
import json
import math
import os
import re
import secrets
import stat
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from storage.errors import ConfigError, NotFound

SCOPE = re.compile(r"(predict|feedback):([a-z0-9][a-z0-9._-]{0,63}|\*)|metrics")
SCOPES = "predict:MODEL, feedback:MODEL (* for every model) or metrics"
TOKEN = re.compile(r"^([A-Za-z0-9_-]{1,64})\.([A-Za-z0-9_-]{1,128})$")
NOTE_CHARACTERS = 200
BURST_SECONDS = 2.0
N, R, P = 2**14, 8, 1  # 16 MiB and about 30 ms a check: RFC 7914 §2
Recorder = Callable[[str, Mapping[str, Any]], object]  # is told what is about to be done; what it raises prevents it


def allowed(scopes: Collection[str], action: str, model: str = "") -> bool:
    """Whether `scopes` hold `action` (predict, feedback) with `model`, or an action that concerns no model (metrics)."""
    return (f"{action}:{model}" if model else action) in scopes or f"{action}:*" in scopes


def burst_of(rate: float) -> float:
    """How many requests may come at once where `rate` a second are allowed."""
    return max(1.0, BURST_SECONDS * rate)


@dataclass(frozen=True)
class Key:
    """One entry of the key file. `expires`, `created`: seconds since 1970 (None: never, not known); `rate`: requests a second
    (None: no limit).
    """

    id: str
    hash: str
    scopes: tuple[str, ...]
    expires: float | None
    rate: float | None = None
    created: float | None = None
    note: str = ""

    def allows(self, action: str, model: str = "") -> bool:
        """Whether the key may do `action`; see `allowed`."""
        return allowed(self.scopes, action, model)

    @property
    def burst(self) -> float | None:
        """How many requests may come at once where `rate` limits them."""
        return None if self.rate is None else burst_of(self.rate)

    def told(self) -> dict[str, Any]:
        """What may be shown of the key: everything but its hash."""
        told: dict[str, Any] = {"id": self.id, "scopes": list(self.scopes), "expires": _date(self.expires)}
        return {**told, "rate": self.rate, "created": _date(self.created), "note": self.note}


NOBODY = Key("", f"scrypt${base64.b64encode(bytes(16)).decode()}${base64.b64encode(bytes(32)).decode()}", (), None)


def unrecorded(action: str, fields: Mapping[str, Any]) -> None:
    """A recorder that keeps nothing: where there is no store to audit in."""


def read_keys(path: Path) -> dict[str, Key]:
    """The keys in the file by their ids; ConfigError names what is wrong with it."""
    try:
        _refuse_open(path)
        entries = json.loads(path.read_bytes())["keys"]
        return {entry["id"]: _key(entry) for entry in entries}
    except OSError as error:
        raise ConfigError(f"key file {path}: {error.strerror}; make it with `millrace keys create`") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        wanted = '{"keys": [{"id", "hash", "scopes", "expires", "rate", "created", "note"}]}'
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


def create_key(
    path: Path,
    scopes: Iterable[str],
    expires: datetime | None = None,
    rate: float | None = None,
    note: str = "",
    record: Recorder = unrecorded,
) -> str:
    """Add a new key to the file (made if absent, mode 0600) and return `id.secret`, which is kept nowhere.

    ConfigError for a scope, rate, note or file that cannot be used. Every writer: `record` is called before the file changes.
    """
    asked = tuple(dict.fromkeys(scopes))
    _check_wishes(asked, rate, note)
    with _writing(path) as keys:
        key, token = _made(Key("", "", asked, expires.timestamp() if expires else None, rate, time.time(), note))
        keys[key.id] = key
        record("create-key", {"key": key.told()})
    return token


def revoke_key(path: Path, name: str, record: Recorder = unrecorded) -> None:
    """Remove the key with that id; the service refuses it after a minute at most. NotFound names the nearest."""
    with _writing(path) as keys:
        key = _known(keys, name, path)
        del keys[name]
        record("revoke-key", {"key": key.told()})


def rotate_key(path: Path, name: str, grace_seconds: float, record: Recorder = unrecorded) -> str:
    """Make a key that may do the same under a new id, and let the old one expire after the grace; the new `id.secret`.

    A key that was to expire gets a successor with as long a life. NotFound; ConfigError for one that has expired already.
    """
    if not 0 <= grace_seconds < math.inf:
        raise ConfigError(f"grace: found {grace_seconds:g} seconds, wanted at least 0")
    with _writing(path) as keys:
        old, now = _known(keys, name, path), time.time()
        if old.expires is not None and old.expires <= now:
            raise ConfigError(
                f"key {name!r} expired on {_date(old.expires)}: make a new one with `millrace keys create`"
            )
        lives = old.expires if old.expires is None or old.created is None else now + old.expires - old.created
        new, token = _made(replace(old, expires=lives, created=now))
        keys[name] = replace(old, expires=min(now + grace_seconds, old.expires or math.inf))
        keys[new.id] = new
        record("rotate-key", {"key": new.told(), "old": name, "old_expires": _date(keys[name].expires)})
    return token


def _check_wishes(scopes: tuple[str, ...], rate: float | None, note: str) -> None:
    for scope in scopes:
        if not SCOPE.fullmatch(scope):
            raise ConfigError(f"scope: found {scope!r}, wanted {SCOPES}")
    if not scopes:
        raise ConfigError(f"scopes: found none, wanted {SCOPES}")
    if rate is not None and not 0 < rate < math.inf:
        raise ConfigError(f"rate: found {rate:g}, wanted requests a second above 0, or none for no limit")
    if len(note) > NOTE_CHARACTERS or not note.isprintable():
        raise ConfigError(f"note: found {len(note)} characters, wanted one line of at most {NOTE_CHARACTERS}")


def _known(keys: Mapping[str, Key], name: str, path: Path) -> Key:
    if name not in keys:
        near = difflib.get_close_matches(name, keys, n=1, cutoff=0.3) or list(keys)[:1]
        hint = f"did you mean {near[0]!r}?" if near else "it holds no key"
        raise NotFound(f"key {name[:64]!r} is not in {path}; {hint} `millrace keys list` shows all")
    return keys[name]


def _made(wish: Key) -> tuple[Key, str]:
    """The key with an id and a hash of its own, and its `id.secret`."""
    name, secret, salt = secrets.token_hex(8), secrets.token_urlsafe(32), secrets.token_bytes(16)
    hashed = "$".join(["scrypt", *(base64.b64encode(part).decode() for part in (salt, _scrypt(secret, salt)))])
    return replace(wish, id=name, hash=hashed), f"{name}.{secret}"


def _key(entry: Mapping[str, Any]) -> Key:
    kind, salt, digest = entry["hash"].split("$")
    if kind != "scrypt" or len(base64.b64decode(salt)) < 16 or len(base64.b64decode(digest)) != 32:
        raise ValueError("a hash that is not scrypt$salt$hash")
    scopes, rate = entry["scopes"], entry.get("rate")
    if not isinstance(scopes, list) or not all(isinstance(scope, str) for scope in scopes):
        raise ValueError("scopes that are no list of texts")
    if rate is not None and not 0 < float(rate) < math.inf:
        raise ValueError(f"the rate {rate}")
    times = _seconds(entry.get("expires")), _seconds(entry.get("created"))
    rate = None if rate is None else float(rate)
    return Key(str(entry["id"]), entry["hash"], tuple(scopes), times[0], rate, times[1], str(entry.get("note", "")))


def _entry(key: Key) -> dict[str, Any]:
    return {**key.told(), "hash": key.hash}


def _seconds(date: str | None) -> float | None:
    return datetime.fromisoformat(date).timestamp() if date else None


def _date(seconds: float | None) -> str | None:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds") if seconds is not None else None


def _refuse_open(path: Path) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise ConfigError(
            f"key file {path}: found mode {mode:04o}, wanted 0600: others could read or change it; chmod 600 {path}"
        )


@contextmanager
def _writing(path: Path) -> Iterator[dict[str, Key]]:
    """The keys in the file, to be changed; written where the block ends well. Other writers wait for each other."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            keys = read_keys(path) if path.exists() else {}
            yield keys
            _write(path, {"keys": [_entry(key) for key in keys.values()]})
        finally:
            os.close(lock)
    except OSError as error:
        raise ConfigError(f"key file {path}: cannot be written: {error.strerror}; choose another with --file") from None


def _write(path: Path, data: Mapping[str, Any]) -> None:
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(data, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def _scrypt(secret: str, salt: bytes) -> bytes:
    return hashlib.scrypt(secret.encode(), salt=salt, n=N, r=R, p=P, dklen=32, maxmem=2**26)


def main(argv: list[str] | None = None) -> int:
    """The command `python -m tasks.service.keys`; the exit code."""
    from tasks.service import key_commands  # the service itself never needs it

    return key_commands.main(argv)


if __name__ == "__main__":
    sys.exit(main())
