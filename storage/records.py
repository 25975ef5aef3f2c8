"""Step records: what a step made, under its key. `steps/<key>/<attempt>.json`; the latest whole one is a hit.

A record is believed only after its manifest was read and verified and every blob in it found with the right size.
"""

import json
import uuid
from dataclasses import dataclass
from typing import Any

from storage.blobs import check_digest
from storage.errors import NotFound
from storage.manifests import canonical_json
from storage.objects import ObjectStore
from storage.refs import Ref, ref_from_json, ref_to_json
from storage.wholeness import damage


@dataclass(frozen=True)
class StepRecord:
    """One finished step. `seconds`: its run time; `created`: seconds since the epoch; `run_id`: the run it was made in."""

    key: str
    name: str
    output: Ref
    seconds: float
    created: float
    run_id: str


def find_record(store: ObjectStore, key: str, verify: bool = False) -> tuple[int, StepRecord] | None:
    """The latest attempt whose output is whole, and its record; None if the step must run.

    What is checked, and how often, `wholeness` says; with `verify` every blob is read.
    """
    for attempt in reversed(attempts(store, key)):
        record = read_record(store, key, attempt)
        if record and is_whole(store, record.output.digest, verify):
            return attempt, record
    return None


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
        return _parse(json.loads(store.get(record_key(key, attempt))), key, store.url)
    except (NotFound, ValueError, KeyError, TypeError):
        return None


def is_whole(store: ObjectStore, digest: str, verify: bool = False) -> bool:
    """Whether nothing is wrong with the artifact of that manifest digest (`verify`: read again, whatever is remembered)."""
    return not damage(store, digest, 1.0 if verify else 0.0)


def _parse(value: Any, key: str, url: str) -> StepRecord:
    if value["key"] != key:
        raise ValueError(f"found the record of step {value['key']}, expected {key}")
    return StepRecord(
        key=key,
        name=str(value["name"]),
        output=ref_from_json(value["output"], url),
        seconds=float(value["seconds"]),
        created=float(value["created"]),
        run_id=str(value["run_id"]),
    )
