"""Results per shard: what the shards of a step made, so that a new run computes only the shards that are new.

`shards/<scope>/<shard key>.json` is one shard's result, put by whoever made it right after its blobs. At the step's end they are
packed into one object, `shards/<scope>/pack-<digest>.json.zst`. The truth is the union of what lies there: a record
or pack that cannot be read is as if it were not there, and its shards are computed again.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import zstandard

from storage.blobs import Blob, check_digest
from storage.encryption import decrypt_if_encrypted, encrypt_if_enabled
from storage.errors import ConfigError, CorruptArtifact, NotFound
from storage.manifests import canonical_json
from storage.metering import carried
from storage.objects import ObjectStore

_PARALLEL = 16
_LISTINGS = 5  # another run may pack, and delete, what was just listed: then it is listed again
_PACK, _PACKED = "pack-", ".json.zst"
_KEPT = 8  # so many packs long a result stays that no run has wanted: those of files that were changed or removed must end some time


@dataclass(frozen=True)
class ShardResult:
    """What one shard made. `blobs`: by name; `facts`: plain JSON values. `idle`: how many packs have passed since a run wanted it."""

    blobs: Mapping[str, Blob] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    idle: int = field(default=0, compare=False)


class Shelf:
    """The results of one step's shards. `scope`: the digest of everything that these shards share: code, libraries, fields, schema.

    A shard's key is the digest of what is its own.
    """

    def __init__(self, store: ObjectStore, scope: str) -> None:
        self._store = store
        self._folder = f"shards/{check_digest(scope)}/"
        self._read: dict[str, dict[str, ShardResult]] = {}

    def known(self) -> dict[str, ShardResult]:
        """The committed results by their keys. Whether their blobs are there still, `storage.wholeness` says."""
        for _ in range(_LISTINGS):
            listed = [key for key, _ in self._store.list(self._folder)]
            self._read = {key: found for key, found in self._read.items() if key in set(listed)}
            wanted = [key for key in listed if key not in self._read]
            with ThreadPoolExecutor(_PARALLEL) as pool:
                contents = list(pool.map(carried(self._content), wanted))
            for key, content in zip(wanted, contents, strict=True):
                if content is not None:
                    self._read[key] = _results(key, content)
            if None not in contents:
                break
        return self._union()

    def find(self, key: str) -> ShardResult | None:
        """The result of one shard, where it was committed and not packed yet; None otherwise. One request."""
        content = self._content(self._record(key))
        return _results(self._record(key), content).get(key) if content is not None else None

    def commit(self, key: str, result: ShardResult) -> None:
        """Keep the result of a shard whose blobs are stored already: one small object, written whole or not at all.

        Where the power fails before it has reached the disk, the shard is computed again.
        """
        content = encrypt_if_enabled(_record_content(key, result))
        if not self._store.put_if_absent(
            self._record(key), content, lasting=False
        ):  # there is another, or a damaged one
            self._store.put(self._record(key), content)

    def drop(self, keys: Collection[str]) -> None:
        """Forget results that `known` gave: what they stand for is damaged or gone."""
        dropped = set(keys)
        self._store.delete_many([key for key in map(self._record, sorted(dropped)) if key in self._read])
        self._read = {
            name: {key: result for key, result in results.items() if key not in dropped}
            for name, results in self._read.items()
        }

    def pack(self, made: Mapping[str, ShardResult], wanted: Collection[str] = ()) -> None:
        """Put all that was read and `made` into one object, and delete what went into it, and nothing else.

        Of two runs that pack at once each writes a pack of its own; the next one joins them. What is neither made nor `wanted` in eight
        packs one after the other is left out.
        """
        used = {*made, *wanted}
        results = {
            key: replace(result, idle=0 if key in used else result.idle + 1)
            for key, result in {**self._union(), **made}.items()
            if key in used or result.idle < _KEPT
        }
        loose = {*self._read, *(self._record(key) for key in made)}
        if not results or (len(loose) == 1 and _is_pack(next(iter(loose)))):
            return
        told = canonical_json({key: _plain(results[key]) for key in results})
        content = encrypt_if_enabled(zstandard.ZstdCompressor().compress(told))
        name = f"{self._folder}{_PACK}{hashlib.sha256(content).hexdigest()}{_PACKED}"
        self._store.put(name, content)
        self._store.delete_many(sorted(loose - {name}))
        self._read = {name: results}

    def _union(self) -> dict[str, ShardResult]:
        union: dict[str, ShardResult] = {}
        for name in sorted(self._read):
            for key, result in self._read[name].items():
                if key not in union or result.idle < union[key].idle:
                    union[key] = result
        return union

    def _record(self, key: str) -> str:
        return f"{self._folder}{check_digest(key)}.json"

    def _content(self, key: str) -> bytes | None:
        try:
            return self._store.get(key)
        except NotFound:
            return None


def _is_pack(key: str) -> bool:
    return key.endswith(_PACKED)


def _record_content(key: str, result: ShardResult) -> bytes:
    """The result after its own digest: a record whose bytes were changed is none."""
    content = canonical_json({key: _plain(result)})
    return b'["%s",%s]' % (hashlib.sha256(content).hexdigest().encode(), content)


def _plain(result: ShardResult) -> list[Any]:
    blobs = {name: [blob.digest, blob.size, blob.suffix] for name, blob in result.blobs.items()}
    return [blobs, result.facts, result.idle]


def _results(name: str, content: bytes) -> dict[str, ShardResult]:
    """What a record or pack holds; nothing where it is damaged. ConfigError where it is encrypted, and its key not here."""
    if _is_pack(name) and hashlib.sha256(content).hexdigest() not in name:
        return {}
    try:
        content = decrypt_if_encrypted(content, name)
    except CorruptArtifact:
        return {}
    try:
        if _is_pack(name):
            results = json.loads(zstandard.ZstdDecompressor().decompress(content))
        else:
            digest, results = json.loads(content)
            results = results if digest == hashlib.sha256(canonical_json(results)).hexdigest() else {}
        return {
            check_digest(key): ShardResult({one: Blob(*blob) for one, blob in blobs.items()}, dict(facts), int(idle))
            for key, (blobs, facts, idle) in results.items()
        }
    except (ValueError, TypeError, AttributeError, ConfigError, zstandard.ZstdError):
        return {}
