"""Step records: a hit is believed only when all that it stands for is there."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from storage.blobs import put_blob
from storage.manifests import manifest_key, put_files, read_manifest
from storage.objects import ObjectStore, open_store
from storage.records import StepRecord, find_record, next_attempt, put_record, record_key
from storage.refs import ModelRef
from storage.verification import outputs
from storage.wholeness import damage

KEY = "5" * 64


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return open_store(str(tmp_path / "store"))


@pytest.fixture
def record(store: ObjectStore) -> StepRecord:
    digest = put_files(store, "model", {"weights.bin": b"1234", "model.json": b"{}"}, {})
    return StepRecord(KEY, "train", ModelRef(store.url, digest), seconds=1.5, created=1_700_000_000.0, run_id="run")


def found(store: ObjectStore, key: str) -> tuple[int, StepRecord | None]:
    """The attempt that counts, and its record."""
    lookup = find_record(store, key)
    return lookup.attempt, lookup.record


def weights(store: ObjectStore, record: StepRecord) -> Path:
    path = store.local_path(read_manifest(store, record.output.digest).files["weights.bin"].key)
    assert path
    return path


def test_without_a_record_there_is_no_hit(store: ObjectStore):
    assert find_record(store, KEY).record is None
    assert next_attempt(store, KEY) == 1


def test_a_record_is_found_as_it_was_put(store: ObjectStore, record: StepRecord):
    assert put_record(store, record) == 1
    assert found(store, KEY) == (1, record)
    assert find_record(store, "6" * 64).record is None


def test_the_latest_whole_attempt_wins(store: ObjectStore, record: StepRecord):
    put_record(store, record)
    gone = put_files(store, "model", {"weights.bin": b"other"}, {})
    assert put_record(store, replace(record, output=ModelRef(store.url, gone))) == 2
    assert found(store, KEY) == (2, replace(record, output=ModelRef(store.url, gone)))
    store.delete(manifest_key(gone))
    assert found(store, KEY) == (1, record)
    assert next_attempt(store, KEY) == 3


def test_a_truncated_blob_makes_a_miss_until_it_is_stored_again(store: ObjectStore, record: StepRecord):
    put_record(store, record)
    os.truncate(weights(store, record), 3)
    assert find_record(store, KEY).record is None
    put_files(store, "model", {"weights.bin": b"1234", "model.json": b"{}"}, {})
    assert found(store, KEY) == (1, record)


def test_a_missing_blob_makes_a_miss(store: ObjectStore, record: StepRecord):
    put_record(store, record)
    weights(store, record).unlink()
    assert find_record(store, KEY).record is None


def test_a_flipped_byte_makes_a_miss_on_this_machines_disk_even_unasked(store: ObjectStore, record: StepRecord):
    put_record(store, record)
    weights(store, record).write_bytes(b"1235")
    assert find_record(store, KEY).record is None
    assert find_record(store, KEY, share=1).record is None


def test_a_damaged_manifest_makes_a_miss(store: ObjectStore, record: StepRecord):
    put_record(store, record)
    store.put(manifest_key(record.output.digest), b'{"kind":"model","files":{},"meta":{}}')
    assert find_record(store, KEY).record is None


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", b'{"key":"other"}'])
def test_what_is_no_record_makes_a_miss(store: ObjectStore, record: StepRecord, content: bytes):
    store.put(record_key(KEY, 1), content)
    assert find_record(store, KEY).record is None
    assert put_record(store, record) == 2


def test_a_record_copied_to_another_key_makes_a_miss(store: ObjectStore, record: StepRecord):
    put_record(store, record)
    store.put(record_key("6" * 64, 1), store.get(record_key(KEY, 1)))
    assert find_record(store, "6" * 64).record is None


def test_an_output_of_many_files_is_checked_by_one_listing(store: ObjectStore):
    digest = put_files(store, "dataset", {f"rows/part-{n:05d}.bin": b"%d" % n for n in range(300)}, {})
    assert not damage(store, digest, 0)
    blob = read_manifest(store, digest).files["rows/part-00123.bin"]
    store.delete(blob.key)
    assert damage(store, digest, 0)


def test_two_outputs_of_one_key_are_both_remembered(store: ObjectStore, record: StepRecord):
    other = put_files(store, "model", {"weights.bin": b"4321"}, {})
    put_record(store, record)
    put_record(store, replace(record, output=ModelRef(store.url, other)))
    assert outputs(store, KEY) == {record.output.digest, other}


def test_a_record_with_any_bit_flipped_is_read_or_passed_over(store: ObjectStore, record: StepRecord):
    put_record(store, replace(record, parts=put_blob(store, b"{}", ".json")))
    content = store.get(record_key(KEY, 1))
    for at in range(len(content)):
        flipped = content[:at] + bytes([content[at] ^ 1 << at % 8]) + content[at + 1 :]
        store.put(record_key(KEY, 1), flipped)
        known = find_record(store, KEY)
        assert known.record is None or known.record.output == record.output, flipped
        assert bool(known.damage) == (known.record is None)
