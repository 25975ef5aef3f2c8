"""Entries of a model's log: signed, and each bound to the one before by its hash. `standing` has what a whole log adds up to.

An entry is `{"body": {…}, "signature": …}`. The body carries the model's name, its own index and its predecessor's hash: an
entry cannot be changed, moved to another place or model, or left out without breaking the chain.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from storage.errors import Untrusted
from storage.manifests import canonical_json
from storage.signing import Keyring

_COMMON = ("name", "index", "previous", "writer", "time", "action", "key_id")


@dataclass(frozen=True)
class Entry:
    """`action`: register, promote, rollback, canary, shadow or withdraw, with its own `fields`. `time`: seconds since the epoch.

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
    """Where an entry lies."""
    return f"models/{name}/log/{index:020d}.json"


def seal(keyring: Keyring, body: Mapping[str, Any]) -> bytes:
    """An entry's bytes: `body`, with the signer's key id, and the signature."""
    signed = {**body, "key_id": keyring.signer()}
    return canonical_json({"body": signed, "signature": keyring.sign(canonical_json(signed))})


def unseal(keyring: Keyring, name: str, index: int, previous: str, content: bytes) -> Entry:
    """The entry in `content`; `Untrusted` unless a trusted key signed it for this model, place and predecessor."""
    place = f"entry {index} of model {name!r}"
    try:
        envelope = json.loads(content)
        body, signature = envelope["body"], envelope["signature"]
        common = {field_name: body[field_name] for field_name in _COMMON}
        keyring.verify(canonical_json(body), signature, body["key_id"])
    except (ValueError, KeyError, TypeError) as error:
        raise Untrusted(f"{place} cannot be read; restore {entry_key(name, index)} from a backup") from error
    except Untrusted as error:
        raise Untrusted(f"{place}: {error}") from error
    found = common.pop("name"), common["index"], common["previous"]
    if found != (name, index, previous):
        raise Untrusted(
            f"{place}: found one that was signed as entry {found[1]} of model {found[0]!r} after {found[2]!r}, "
            f"wanted one after {previous!r}: the log was rearranged; restore models/{name}/log from a backup"
        )
    fields = {key: value for key, value in body.items() if key not in _COMMON}
    return Entry(**common, fields=fields, digest=hashlib.sha256(content).hexdigest())
