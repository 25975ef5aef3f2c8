"""Step records: what a step made, under its key. `steps/<key>/<attempt>.json`; the latest whole one is a hit.

A record is believed only after its manifest was read and verified and every blob in it found with the right size.
"""

import json
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from storage.blobs import Blob, check_digest
from storage.errors import ConfigError, NotFound
from storage.manifests import canonical_json
from storage.objects import ObjectStore
from storage.refs import Ref, ref_from_json, ref_to_json
from storage.wholeness import damage


@dataclass(frozen=True)
class StepRecord:
    """One finished step. `seconds`: its run time; `created`: seconds since the epoch; `run_id`: the run it was made in.

    `parts`: the blob that tells what its key is made of; `cost`: what it took, by name, None where it was not measured.
    """

    key: str
    name: str
    output: Ref
    seconds: float
    created: float
    run_id: str
    parts: Blob | None = None
    cost: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Lookup:
    """What a store has under a key. `record`: the latest whose output is whole; `damage`: why others do not count, in words.

    `attempt`: the number of the record; without one that of the latest, 0 where there is none at all.
    """

    record: StepRecord | None = None
    attempt: int = 0
    damage: tuple[str, ...] = ()


def find_record(store: ObjectStore, key: str, share: float = 0.0) -> Lookup:
    """The latest attempt whose output is whole; no record where the step must run.

    Sizes are always checked, and of a `share` of the blobs (0 to 1) the digests; on a folder of this machine, of all.
    """
    found: list[str] = []
    numbers = attempts(store, key)
    for attempt in reversed(numbers):
        record = read_record(store, key, attempt)
        if record is None:
            found.append(f"the record {record_key(key, attempt)} cannot be read")
            continue
        wrong = damage(store, record.output.digest, share)
        if not wrong:
            return Lookup(record, attempt, tuple(found))
        found += wrong
    return Lookup(attempt=max(numbers, default=0), damage=tuple(found))


def put_record(store: ObjectStore, record: StepRecord) -> int:
    """Write `record` as the next attempt of its key; the attempt's number. Another writer's attempt is never replaced."""
    content = canonical_json(
        {
            "key": check_digest(record.key),
            "name": record.name,
            "output": ref_to_json(record.output),
            "seconds": record.seconds,
            "created": record.created,
            "run_id": record.run_id,
            "parts": asdict(record.parts) if record.parts else None,
            "cost": dict(record.cost),
            "writer": uuid.uuid4().hex,
        }
    )
    attempt = next_attempt(store, record.key)
    while not store.put_if_absent(record_key(record.key, attempt), content):
        attempt += 1
    return attempt


def next_attempt(store: ObjectStore, key: str) -> int:
    """The number that the key's next record will have; the first is 1."""
    return max(attempts(store, key), default=0) + 1


def attempts(store: ObjectStore, key: str) -> list[int]:
    """The numbers of the key's records, in order."""
    names = [path.rpartition("/")[2].removesuffix(".json") for path, _ in store.list(f"steps/{check_digest(key)}/")]
    return sorted(int(name) for name in names if name.isdigit())


def record_key(key: str, attempt: int) -> str:
    """Where the record of that attempt lies."""
    return f"steps/{check_digest(key)}/{attempt:06d}.json"


def read_record(store: ObjectStore, key: str, attempt: int) -> StepRecord | None:
    """The record of that attempt; None where it cannot be read as one."""
    try:
        content = store.get(record_key(key, attempt))
    except NotFound:
        return None
    try:
        return _parse(json.loads(content), key, store.url)
    except (ValueError, KeyError, TypeError, ConfigError):
        return None


def _parse(value: Any, key: str, url: str) -> StepRecord:
    if value["key"] != key:
        raise ValueError(f"found the record of step {value['key']}, expected {key}")
    output = ref_from_json(value["output"], url)
    check_digest(output.digest)
    return StepRecord(
        key=key,
        name=str(value["name"]),
        output=output,
        seconds=float(value["seconds"]),
        created=float(value["created"]),
        run_id=str(value["run_id"]),
        parts=Blob(**value["parts"]) if value.get("parts") else None,
        cost=dict(value.get("cost") or {}),
    )
