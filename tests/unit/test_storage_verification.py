"""Verification: every kind of damage in a store is found and named."""

import json
import re
from pathlib import Path

import pytest

from flows.cli import main
from storage.blobs import Blob, put_blob
from storage.entries import entry_key, seal
from storage.manifests import manifest_key, put_files, read_manifest
from storage.objects import ObjectStore, open_store
from storage.records import StepRecord, put_record, record_key
from storage.refs import ModelRef
from storage.registry import open_registry
from storage.runs import new_run_id, put_run
from storage.shards import ShardResult, Shelf
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
    told_json = report.to_json()
    assert (told_json["objects"], told_json["bytes"], told_json["problems"]) == (7, size, [])
    assert {kind: number for kind, (number, _) in report.kinds.items()} == {
        "blobs": 2, "manifests": 1, "models": 2, "runs": 1, "steps": 1,
    }  # fmt: skip
    assert report.orphans == {"steps": (1, len(store.get(record_key(KEY, 1))))}  # no run names its key


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


def test_a_run_that_names_what_is_gone_is_found(store: ObjectStore, digest: str):
    report, run_id = put_blob(store, b"<html>", ".html"), new_run_id()
    step = {"name": "train", "state": "computed", "key": KEY, "output": digest}
    put_run(store, run_id, {"steps": [step], "report": vars(report), "source": None})
    assert verify(store).problems == []
    store.delete(report.key)
    store.delete(record_key(KEY, 1))
    put_run(store, run_id, {"steps": [step, {**step, "name": "export", "output": "e" * 64}], "report": vars(report)})
    assert {(problem.key, problem.found) for problem in verify(store).problems} == {
        (report.key, "no such blob"),
        (f"runs/{run_id}.json", "an output of step export that is gone"),
        (f"runs/{run_id}.json", "no record of step train"),
        (f"runs/{run_id}.json", "no record of step export"),
    }


def test_a_record_whose_parts_are_gone_is_found(store: ObjectStore, digest: str):
    parts = put_blob(store, b"[]", ".json")
    put_record(store, StepRecord(KEY, "train", ModelRef(store.url, digest), 1.0, 2.0, "run", parts))
    store.put(parts.key, b"[ ]")
    by_digest, by_size = verify(store).problems
    assert by_digest.key == by_size.key == parts.key
    assert record_key(KEY, 2) in by_size.wanted


@pytest.mark.parametrize("packed", [True, False])
def test_results_of_shards_that_are_damaged_or_name_what_is_gone_are_found(store: ObjectStore, packed: bool):
    blob = put_blob(store, b"rows", ".parquet")
    shelf, result = Shelf(store, "a" * 64), ShardResult({"rows": blob})
    shelf.pack({"1" * 64: result}) if packed else shelf.commit("1" * 64, result)
    [(key, _)] = store.list("shards")
    assert verify(store).problems == []
    store.delete(blob.key)
    assert [(problem.key, problem.found) for problem in verify(store).problems] == [(blob.key, "no such blob")]
    store.put(key, store.get(key)[:-3])
    assert [problem.key for problem in verify(store).problems] == [key]


def test_a_log_with_a_gap_and_one_whose_end_was_taken_away_are_found(store: ObjectStore, digest: str):
    first = store.get(entry_key("digits", 0))
    store.delete(entry_key("digits", 0))
    [problem] = verify(store).problems
    assert "entry 0 of model 'digits' is missing" in problem.found
    store.put(entry_key("digits", 0), first)
    other = put_files(store, "model", {"weights.bin": b"4321"}, {})
    assert open_registry(store.url).register("digits", other, other) == 2
    put_run(store, new_run_id(), {"summary": {"release": {"model": "digits", "version": 2, "digest": other}}})
    assert verify(store).problems == []
    store.delete(entry_key("digits", 2))
    [problem] = verify(store).problems
    assert (problem.key, problem.found) == ("models/digits/log", "a log without it: its end was taken away")


def test_an_alias_of_a_version_that_never_was_is_found(store: ObjectStore):
    entries = open_registry(store.url).entries("digits")
    body = {
        "name": "digits",
        "index": 2,
        "previous": entries[-1].digest,
        "writer": "w",
        "time": 1.0,
        "action": "promote",
    }
    forged = seal(
        open_keyring(store.url), {**body, "version": 7, "alias": "champion", "reason": "", "automatic": False}
    )
    store.put(entry_key("digits", 2), forged)
    [problem] = verify(store).problems
    assert str(problem) == f"{entry_key('digits', 2)}: found alias 'champion' of version 7, wanted one of versions [1]"


def test_a_lease_that_cannot_be_read_is_found(store: ObjectStore):
    store.put("leases/sweep/00000000000000000001.json", b"{")
    [problem] = verify(store).problems
    assert problem.key == "leases/sweep/00000000000000000001.json"


def test_what_nothing_names_is_counted_and_is_no_error(store: ObjectStore):
    blob = put_blob(store, b"nobody's", "")
    report = verify(store)
    assert report.problems == []
    assert (report.orphans or {})["blobs"] == (1, blob.size)
    store.put(f"runs/{new_run_id()}.json", b"{")
    assert verify(store).orphans is None  # what that named cannot be told


def test_the_command_shows_a_table_and_ends_with_1_where_something_is_wrong(
    store: ObjectStore, digest: str, capsys: pytest.CaptureFixture[str]
):
    assert main(["verify", "--storage", store.url]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^blobs +2 +0\.0 +0$", out, re.MULTILINE)
    assert out.endswith("all whole\n")
    store.delete(weights(store, digest).key)
    assert main(["verify", "--storage", store.url]) == 1
    assert f"{weights(store, digest).key}: found no such blob, wanted 4 bytes" in capsys.readouterr().out
    assert main(["verify", "--storage", store.url, "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert [problem["key"] for problem in told["problems"]] == [weights(store, digest).key]
