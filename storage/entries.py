"""Entries of a log: signed, and each bound to the one before by its hash. Also what a whole log of a model adds up to.

An entry is `{"body": {…}, "signature": …}`. The body carries the log's name, its own index and its predecessor's hash: an
entry cannot be changed, moved to another place or log, or left out without breaking the chain.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from storage.errors import Untrusted
from storage.manifests import canonical_json
from storage.signing import Keyring

COMMON = ("name", "index", "previous", "writer", "time", "action", "key_id")


@dataclass(frozen=True)
class Log:
    """A chain of entries. `name`: signed into each of them; `folder`: where they lie in the store; `title`: what messages call it."""

    name: str
    folder: str
    title: str

    def key(self, index: int) -> str:
        """Where an entry lies."""
        return f"{self.folder}/{index:020d}.json"


def model_log(name: str) -> Log:
    """The log of a model."""
    return Log(name, f"models/{name}/log", f"model {name!r}")


@dataclass(frozen=True)
class Entry:
    """`action`: register, promote or rollback, with its own `fields`; `time`: seconds since the epoch; `digest`: of the stored bytes."""

    index: int
    previous: str
    writer: str
    time: float
    action: str
    key_id: str
    fields: Mapping[str, Any]
    digest: str


@dataclass(frozen=True)
class Version:
    """A numbered version, from 1. `artifact`, `release`: manifest digests; `time`: when it was registered."""

    number: int
    artifact: str
    release: str
    time: float


@dataclass
class Standing:
    """What a log adds up to. `history`: for each alias the versions that it may be rolled back through, the last one current."""

    versions: dict[int, Version] = field(default_factory=dict)
    history: dict[str, list[int]] = field(default_factory=dict)
    rolled_back: set[str] = field(default_factory=set)

    def current(self, alias: str) -> int | None:
        """The number of the version that `alias` points at."""
        return (self.history.get(alias) or [None])[-1]

    def before(self, alias: str) -> int | None:
        """The version that `alias` pointed at before this one, leaving out what was rolled back."""
        history = self.history.get(alias, [])
        earlier = (
            number
            for number in reversed(history[:-1])
            if number != history[-1] and self.versions[number].artifact not in self.rolled_back
        )
        return next(earlier, None)

    def apply(self, entry: Entry) -> None:
        """Take one more entry into account."""
        fields = entry.fields
        if entry.action == "register":
            number = fields["version"]
            self.versions[number] = Version(number, fields["artifact"], fields["release"], entry.time)
        elif entry.action == "promote":
            self.history.setdefault(fields["alias"], []).append(fields["version"])
            self.rolled_back.discard(self.versions[fields["version"]].artifact)
        elif entry.action == "rollback":
            history = self.history[fields["alias"]]
            self.rolled_back.add(self.versions[fields["left"]].artifact)
            while history[-1] != fields["version"]:
                history.pop()


def add_up(entries: Sequence[Entry]) -> Standing:
    """The standing after `entries`."""
    standing = Standing()
    for entry in entries:
        standing.apply(entry)
    return standing


def entry_key(name: str, index: int) -> str:
    """Where an entry of a model's log lies."""
    return model_log(name).key(index)


def seal(keyring: Keyring, body: Mapping[str, Any]) -> bytes:
    """An entry's bytes: `body`, with the signer's key id, and the signature."""
    signed = {**body, "key_id": keyring.signer()}
    return canonical_json({"body": signed, "signature": keyring.sign(canonical_json(signed))})


def unseal(keyring: Keyring, log: Log, index: int, previous: str | None, content: bytes) -> Entry:
    """The entry in `content`; `Untrusted` unless a trusted key signed it for this log, place and predecessor (None: whichever)."""
    place = f"entry {index} of {log.title}"
    try:
        envelope = json.loads(content)
        body, signature = envelope["body"], envelope["signature"]
        common = {field_name: body[field_name] for field_name in COMMON}
        keyring.verify(canonical_json(body), signature, body["key_id"])
    except (ValueError, KeyError, TypeError) as error:
        raise Untrusted(f"{place} cannot be read; restore {log.key(index)} from a backup") from error
    except Untrusted as error:
        raise Untrusted(f"{place}: {error}") from error
    found = common.pop("name"), common["index"], common["previous"]
    if found != (log.name, index, common["previous"] if previous is None else previous):
        raise Untrusted(
            f"{place}: found one that was signed as entry {found[1]} of {_said(found[0], log)} after {found[2]!r}, "
            f"wanted one after {previous!r}: the log was rearranged; restore {log.folder} from a backup"
        )
    fields = {key: value for key, value in body.items() if key not in COMMON}
    return Entry(**common, fields=fields, digest=hashlib.sha256(content).hexdigest())


def _said(name: str, log: Log) -> str:
    return log.title if name == log.name else f"model {name!r}"
