"""Verification: every kind of damage in a store is found and named."""

from pathlib import Path

import pytest

from storage.blobs import Blob
from storage.entries import entry_key
from storage.manifests import manifest_key, put_files, read_manifest
from storage.objects import ObjectStore, open_store
from storage.records import StepRecord, put_record, record_key
from storage.refs import ModelRef
from storage.registry import open_registry
from storage.runs import new_run_id, put_run
from storage.signing import open_keyring
from storage.verification import Report, verify_store

KEY = "5" * 64


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    """A store with one model: two blobs, a manifest, a record, a run, and a log of two entries."""
    store = open_store(str(tmp_path / "store"))
    digest = put_files(store, "model", {"weights.bin": b"1234", "model.json": b"{}"}, {})
    put_record(store, StepRecord(KEY, "train", ModelRef(store.url, digest), 1.0, 2.0, "run"))
    put_run(store, new_run_id(), {"verdict": "promote"})
    registry = open_registry(store.url)
    registry.register("digits", digest, digest)
    registry.promote("digits", 1)
    return store


@pytest.fixture
def digest(store: ObjectStore) -> str:
    return open_registry(store.url).versions("digits")[0].artifact


def verify(store: ObjectStore) -> Report:
    return verify_store(store, open_keyring(store.url))


def weights(store: ObjectStore, digest: str) -> Blob:
    return read_manifest(store, digest).files["weights.bin"]


def test_a_whole_store_has_no_problems(store: ObjectStore):
    told: list[tuple[int, int]] = []
    report = verify_store(store, open_keyring(store.url), lambda done, total: told.append((done, total)))
    size = sum(size for _, size in store.list(""))
    assert (report.problems, report.nondeterministic, report.objects, report.bytes) == ([], [], 7, size)
    assert told[-1] == (size, size)
    assert len(told) == 7
    assert report.to_json() == {"objects": 7, "bytes": size, "problems": [], "nondeterministic": []}


def test_a_flipped_byte_is_found(store: ObjectStore, digest: str):
    store.put(weights(store, digest).key, b"1235")
    [problem] = verify(store).problems
    assert problem.key == weights(store, digest).key
    assert "found SHA-256" in str(problem)


def test_a_truncated_blob_is_found_with_the_manifest_that_wants_it(store: ObjectStore, digest: str):
    store.put(weights(store, digest).key, b"12")
    by_digest, by_size = verify(store).problems
    assert by_digest.key == by_size.key == weights(store, digest).key
    assert str(by_size).endswith(f"found 2 bytes, wanted 4 bytes: weights.bin of model manifests/{digest}.json")


def test_a_missing_blob_is_found(store: ObjectStore, digest: str):
    key = weights(store, digest).key
    store.delete(key)
    assert [(p.key, p.found) for p in verify(store).problems] == [(key, "no such blob")]


def test_a_changed_manifest_is_found_also_from_the_log(store: ObjectStore, digest: str):
    store.put(manifest_key(digest), b'{"kind":"model","files":{},"meta":{}}')
    assert [problem.key for problem in verify(store).problems] == [manifest_key(digest), "models/digits/log"]


def test_a_missing_manifest_is_found_from_record_and_log(store: ObjectStore, digest: str):
    store.delete(manifest_key(digest))
    assert [problem.key for problem in verify(store).problems] == [record_key(KEY, 1), "models/digits/log"]


def test_a_tampered_entry_is_found(store: ObjectStore):
    key = entry_key("digits", 1)
    store.put(key, store.get(key).replace(b"champion", b"champiom"))
    [problem] = verify(store).problems
    assert "entry 1 of model 'digits'" in problem.found


def test_a_record_and_a_run_that_cannot_be_read_are_found(store: ObjectStore):
    for key, _ in [*store.list("steps"), *store.list("runs")]:
        store.put(key, b"{")
    store.put("steps/odd", b"")
    assert [problem.key.split("/")[0] for problem in verify(store).problems] == ["runs", "steps", "steps"]


def test_a_step_that_made_two_outputs_is_reported_as_nondeterministic(store: ObjectStore):
    other = put_files(store, "model", {"weights.bin": b"4321"}, {})
    put_record(store, StepRecord(KEY, "train", ModelRef(store.url, other), 1.0, 2.0, "run"))
    report = verify(store)
    assert (report.problems, report.nondeterministic) == ([], [KEY])
