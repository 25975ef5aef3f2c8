"""Entries of a log: signed, and each bound to the one before by its hash. `standing` has what a whole log of a model adds up to.

An entry is `{"body": {…}, "signature": …}`. The body carries the log's name, its own index and its predecessor's hash: an
entry cannot be changed, moved to another place or log, or left out without breaking the chain.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
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
    """`action`, with its own `fields`: of a model register, promote, rollback, canary, shadow or withdraw. `time`: seconds since the epoch.

    `digest`: of the stored bytes.
    """

    index: int
    previous: str
    writer: str
    time: float
    action: str
    key_id: str
    fields: Mapping[str, Any]
    digest: str


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
