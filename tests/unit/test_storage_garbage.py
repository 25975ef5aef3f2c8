"""Garbage: what nothing names goes when it is old; what anything names, or may be about to, stays."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import boto3
import pytest
from garbage_stores import HOUR, RUNS, keys, make_old, one_run, planted
from stores import any_store, moto_server, s3_store

from storage import garbage
from storage.blobs import damage_key, describe_blob, put_blob
from storage.clock import store_now
from storage.engines import locate
from storage.entries import entry_key
from storage.errors import ConfigError, Conflict, CorruptArtifact, Untrusted
from storage.garbage import Report, collect
from storage.leases import hold_lease, running
from storage.manifests import manifest_key, put_files, read_manifest
from storage.marking import Retention
from storage.objects import ObjectStore, open_store
from storage.records import record_key
from storage.registry import open_registry
from storage.shards import ShardResult, Shelf
from storage.signing import open_keyring
from storage.wholeness import damage

__all__ = ["any_store", "moto_server", "s3_store"]

Clock = Callable[[ObjectStore], float]


def in_two_hours(store: ObjectStore) -> float:
    return store_now(store) + 2 * HOUR


def gone_after(
    store: ObjectStore, retention: Retention | None = None, clock: Clock = in_two_hours, delete: bool = True
) -> Report:
    return collect(store, open_keyring(store.url), HOUR, delete, retention or Retention(), lambda: None, clock)


def test_what_nothing_names_goes_when_it_is_old_and_the_rest_stays(any_store: ObjectStore):
    _, _, digest = one_run(any_store, 0)
    open_registry(any_store.url).register("digits", digest, digest)
    before = keys(any_store)
    nobodys = planted(any_store)
    assert keys(any_store) == before | nobodys
    assert not gone_after(any_store, clock=store_now).tally.kinds  # young
    assert keys(any_store) == before | nobodys
    report = gone_after(any_store, delete=False)
    assert keys(any_store) == before | nobodys
    assert {kind: number for kind, (number, _) in report.tally.kinds.items()} == {
        "blobs": 2, "manifests": 1, "steps": 1, "probes": 1, "damaged": 1,
    }  # fmt: skip
    assert gone_after(any_store).tally == report.tally
    assert keys(any_store) == before
    assert damage(any_store, digest, 1.0) == ()


def test_dropped_runs_give_free_what_only_they_named(any_store: ObjectStore):
    runs = [one_run(any_store, number) for number in range(3)]
    open_registry(any_store.url).register("digits", runs[0][2], runs[0][2], runs[0][0])
    gone_after(any_store, Retention(runs=1))
    assert keys(any_store, "runs") == {f"runs/{RUNS[number]}.json" for number in (0, 2)}  # 0 made a version
    assert keys(any_store, "steps") == {record_key(runs[number][1], 1) for number in (0, 2)}
    assert keys(any_store, "manifests") == {manifest_key(runs[number][2]) for number in (0, 2)}
    assert [damage(any_store, runs[number][2], 1.0) for number in (0, 2)] == [(), ()]
    assert any_store.size(describe_blob(b"weights 1 ", ".bin").key) is None


def test_runs_younger_than_some_days_are_kept(any_store: ObjectStore):
    for number in range(2):
        one_run(any_store, number)
    gone_after(any_store, Retention(days=1.0))
    assert len(keys(any_store, "runs")) == 2
    gone_after(any_store, Retention(days=0.05))  # 72 minutes
    assert keys(any_store) == set()


def test_while_a_run_is_going_on_every_record_and_its_own_run_are_in_use(any_store: ObjectStore):
    run_id, key, digest = one_run(any_store, 0)
    with running(any_store, run_id):
        report = gone_after(any_store, Retention(runs=0))
        assert report.live_runs == [run_id]
        assert f"runs/{run_id}.json" in keys(any_store)
        any_store.delete(f"runs/{run_id}.json")
        gone_after(any_store)
        assert damage(any_store, digest, 1.0) == ()
        assert record_key(key, 1) in keys(any_store)
    gone_after(any_store)
    assert keys(any_store) == set()


def test_what_a_young_manifest_names_stays_however_old_it_is(tmp_path: Path):
    store = open_store(str(tmp_path / "store"))
    digest = put_files(store, "model", {"weights.bin": b"1234"}, {})
    blob = read_manifest(store, digest).files["weights.bin"]
    make_old(store, [blob.key])
    gone_after(store, clock=store_now)
    assert damage(store, digest, 1.0) == ()
    make_old(store, [manifest_key(digest)])
    gone_after(store, clock=store_now)
    assert keys(store) == set()


def test_results_of_shards_stay_with_the_data_set_that_they_made(any_store: ObjectStore):
    _, _, digest = one_run(any_store, 0)
    used = read_manifest(any_store, digest).files["weights.bin"]
    spare, other = (
        put_blob(any_store, b"of a shard that went", ".bin"),
        put_blob(any_store, b"of a run that was killed", ""),
    )
    Shelf(any_store, "a" * 64).pack({"1" * 64: ShardResult({"rows": used}), "2" * 64: ShardResult({"rows": spare})})
    [pack] = keys(any_store, "shards")
    Shelf(any_store, "b" * 64).commit("3" * 64, ShardResult({"rows": other}))
    any_store.put(f"shards/{'b' * 64}/{'4' * 64}.json", b"\xff no record")
    gone_after(any_store, clock=store_now)
    assert len(keys(any_store, "shards")) == 3
    gone_after(any_store)
    assert keys(any_store, "shards") == {pack}
    assert spare.key in keys(any_store)
    assert other.key not in keys(any_store)


def test_where_a_reference_cannot_be_read_nothing_goes_and_it_is_named(any_store: ObjectStore):
    _, _, digest = one_run(any_store, 0)
    open_registry(any_store.url).register("digits", digest, digest)
    planted(any_store)
    for key in (f"runs/{RUNS[0]}.json", manifest_key(digest), entry_key("digits", 0)):
        content, before = any_store.get(key), keys(any_store)
        any_store.put(key, content[:-5])
        with pytest.raises((CorruptArtifact, Untrusted), match="entry 0 of model 'digits'" if "log" in key else key):
            gone_after(any_store)
        assert keys(any_store) == before
        any_store.put(key, content)


def test_a_note_of_damage_stays_as_long_as_the_blob(any_store: ObjectStore):
    _, _, digest = one_run(any_store, 0)
    note = damage_key(read_manifest(any_store, digest).files["weights.bin"])
    any_store.put(note, b"found")
    gone_after(any_store)
    assert note in keys(any_store)


def test_too_short_a_grace_period_is_refused(any_store: ObjectStore):
    with pytest.raises(ConfigError, match="wanted at least 1"):
        collect(any_store, open_keyring(any_store.url), HOUR - 1, False, Retention(), lambda: None)


def test_who_lost_the_lease_deletes_no_more(any_store: ObjectStore):
    nobodys = planted(any_store)
    collector = garbage.Collector(any_store, open_keyring(any_store.url), HOUR, Retention(), in_two_hours)
    plan = collector.plan()
    with hold_lease(any_store, "sweep", lambda: None) as lease:
        assert lease
        lease.lost = True
        with pytest.raises(Conflict, match="collect again"):
            collector.sweep(plan, lease)
        assert nobodys <= keys(any_store)


def test_an_upload_that_nobody_finishes_is_aborted_when_it_is_old(s3_store: ObjectStore):
    place = locate(s3_store.url)
    client = boto3.Session().client("s3")
    wanted = {"Bucket": place.bucket, "Key": f"{place.prefix}/blobs/aa/{'a' * 64}"}
    upload = client.create_multipart_upload(**wanted)["UploadId"]
    client.upload_part(**wanted, UploadId=upload, PartNumber=1, Body=b"x" * 1000)
    foreign = client.create_multipart_upload(Bucket=place.bucket, Key="elsewhere/blobs/aa")["UploadId"]
    assert gone_after(s3_store, clock=store_now).tally.kinds == {}
    assert gone_after(s3_store, delete=False).tally.kinds == {"unfinished uploads": (1, 1000)}
    gone_after(s3_store)
    left = client.list_multipart_uploads(Bucket=place.bucket)["Uploads"]
    assert upload not in [one["UploadId"] for one in left]
    client.abort_multipart_upload(Bucket=place.bucket, Key="elsewhere/blobs/aa", UploadId=foreign)


def test_what_a_killed_writer_left_beside_an_object_goes_when_it_is_old(tmp_path: Path):
    store = open_store(str(tmp_path / "store"))
    blob = put_blob(store, b"1", "")
    path = store.local_path(blob.key)
    assert path
    for name in (f"{path}#1", f"{path}#2"):
        Path(name).write_bytes(b"half")
    then = time.time() - 2 * HOUR
    os.utime(f"{path}#1", (then, then))
    gone_after(store, clock=store_now)
    assert sorted(path.parent.iterdir()) == [path, Path(f"{path}#2")]


def test_a_dead_lease_goes_when_it_is_old(tmp_path: Path):
    store = open_store(str(tmp_path / "store"))
    for name in ("old", "young"):
        store.put(f"leases/{name}/00000000000000000007.json", b"{}")
    make_old(store, ["leases/old/00000000000000000007.json"])
    gone_after(store, clock=store_now)
    assert keys(store) == {"leases/young/00000000000000000007.json"}
    assert not (tmp_path / "store" / "leases" / "old").exists()
