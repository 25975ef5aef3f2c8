"""Garbage: what nothing names goes when it is old; what anything names, or may be about to, stays."""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import boto3
import pytest
import zstandard
from commands import COMMAND, environment, wait_for
from stores import any_store, moto_server, s3_store

from storage import garbage
from storage.blobs import Blob, damage_key, describe_blob, put_blob
from storage.clock import store_now
from storage.engines import locate
from storage.entries import entry_key
from storage.errors import ConfigError, Conflict, CorruptArtifact, Untrusted
from storage.garbage import Report, collect
from storage.leases import hold_lease, running
from storage.manifests import manifest_key, put_files, read_manifest
from storage.marking import Retention
from storage.objects import ObjectStore, open_store
from storage.records import StepRecord, put_record, record_key
from storage.refs import ModelRef
from storage.registry import open_registry
from storage.runs import put_run
from storage.signing import open_keyring
from storage.wholeness import damage

__all__ = ["any_store", "moto_server", "s3_store"]

HOUR = 3600.0
RUNS = ("20260129-000000-00000001", "20260130-000000-00000002", "20260131-000000-00000003")
Clock = Callable[[ObjectStore], float]


def in_two_hours(store: ObjectStore) -> float:
    return store_now(store) + 2 * HOUR


def gone_after(
    store: ObjectStore, retention: Retention | None = None, clock: Clock = in_two_hours, delete: bool = True
) -> Report:
    return collect(store, open_keyring(store.url), HOUR, delete, retention or Retention(), lambda: None, clock)


def keys(store: ObjectStore, folder: str = "") -> set[str]:
    return {key for key, _ in store.list(folder)}


def one_run(store: ObjectStore, number: int, made: str = "") -> tuple[str, str, str]:
    """A run of one step whose model has two blobs: the run's id, the step's key, the model's digest."""
    run_id, key = RUNS[number], f"{number + 1}" * 64
    parts = put_blob(store, f"parts {number} {made}".encode(), ".json")
    digest = put_files(store, "model", {"weights.bin": f"weights {number} {made}".encode(), "same.json": b"{}"}, {})
    put_record(store, StepRecord(key, "train", ModelRef(store.url, digest), 1.0, 2.0, run_id, parts))
    report, source = put_blob(store, f"report {number}".encode(), ".html"), put_blob(store, b"source", ".tar.zst")
    steps = [{"name": "train", "state": "computed", "key": key, "output": digest, "made_by": run_id}]
    put_run(
        store,
        run_id,
        {"status": "finished", "steps": steps, "report": vars(report), "source": vars(source), "config": {}},
    )
    return run_id, key, digest


def planted(store: ObjectStore) -> set[str]:
    """One object of each kind that nothing names."""
    blob = put_blob(store, b"nobody's", ".bin")
    digest = put_files(store, "model", {"a.bin": b"nobody's either"}, {})
    put_record(store, StepRecord("f" * 64, "train", ModelRef(store.url, "e" * 64), 1.0, 2.0, "run"))
    for key in ("probes/0", damage_key(Blob("d" * 64, 1))):
        store.put(key, b"{}")
    other = next(iter(read_manifest(store, digest).files.values()))
    return {
        blob.key, other.key, manifest_key(digest), record_key("f" * 64, 1), "probes/0", damage_key(Blob("d" * 64, 1)),
    }  # fmt: skip


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
    scope, spare, other = (
        f"shards/{'a' * 64}",
        put_blob(any_store, b"of a shard that went", ".bin"),
        put_blob(any_store, b"x", ""),
    )
    pack = {"1" * 64: [{b.digest[:4]: [b.digest, b.size, b.suffix] for b in (used, spare)}, {}]}
    any_store.put(f"{scope}/pack-{'b' * 64}.json.zst", zstandard.compress(json.dumps(pack).encode()))
    loose = {"2" * 64: [{"rows": [other.digest, other.size, other.suffix]}, {}]}
    any_store.put(f"{scope}/{'2' * 64}.json", json.dumps(loose).encode())
    any_store.put(f"{scope}/{'3' * 64}.json", b"\xff no record")
    gone_after(any_store)
    assert keys(any_store, "shards") == {f"{scope}/pack-{'b' * 64}.json.zst"}
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
    os.utime(f"{path}#1", (time.time() - 2 * HOUR,) * 2)
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


def make_old(store: ObjectStore, some: "list[str] | set[str]") -> None:
    then = time.time() - 2 * HOUR
    for key in some:
        path = store.local_path(key)
        assert path
        os.utime(path, (then, then))


# Small steps without end: each run computes two, of contents that were stored before or are new, and remembers what it committed.
WRITER = """
import os, random, sys, uuid
from storage.blobs import put_blob
from storage.leases import running
from storage.manifests import put_files
from storage.objects import open_store
from storage.records import StepRecord, put_record
from storage.refs import ModelRef
from storage.runs import new_run_id, put_run
store, chance = open_store(sys.argv[1]), random.Random(int(sys.argv[2]))
contents = [b"content %d" % n for n in range(60)]
chance.shuffle(contents)
print("ready", flush=True)
while not os.path.exists(sys.argv[3]):
    run_id, steps = new_run_id(), []
    with running(store, run_id):
        source = put_blob(store, chance.choice(contents), ".tar.zst")
        for name in ("prepare", "train"):
            used = [contents.pop() if contents else b"new " + uuid.uuid4().hex.encode() for _ in range(2)]
            key = uuid.uuid4().hex * 2
            digest = put_files(store, "model", {f"{n}.bin": content for n, content in enumerate(used)}, {})
            put_record(store, StepRecord(key, name, ModelRef(store.url, digest), 1.0, 2.0, run_id))
            steps.append({"name": name, "key": key, "output": digest})
            put_run(store, run_id, {"status": "running", "steps": steps, "source": vars(source)})
        put_run(store, run_id, {"status": "finished", "steps": steps, "source": vars(source)})
    contents = contents or [b"content %d" % n for n in range(60)]
"""
COLLECTOR = """
import sys, time
from storage.garbage import collect
from storage.marking import Retention
from storage.objects import open_store
from storage.signing import open_keyring
store = open_store(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for _ in range(3):
    collect(store, open_keyring(store.url), 3600.0, True, Retention(), lambda: None)
"""


def begun(code: str, *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", code, *arguments]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("seed", range(20))
def test_beside_a_running_writer_nothing_reachable_ever_goes(tmp_path: Path, seed: int):
    store, chance = open_store(str(tmp_path / "store")), random.Random(seed)
    for number in range(60):  # what the writer is about to store again; nobody names it yet
        put_blob(store, b"content %d" % number, chance.choice((".bin", ".tar.zst")))
    _, _, digest = one_run(store, 0)
    named = keys(store) - keys(store, "blobs")
    nobodys = {put_blob(store, b"old %d" % number, "").key for number in range(40)}
    make_old(store, keys(store))
    young = {put_blob(store, b"young %d" % number, "").key for number in range(5)}
    collector = begun(COLLECTOR, store.url)
    writer = begun(WRITER, store.url, str(seed), str(tmp_path / "stop"))
    time.sleep(chance.uniform(0, 0.15))
    collector.communicate("\n", timeout=120)
    runs = len(keys(store, "runs"))
    wait_for(lambda: len(keys(store, "runs")) > runs, "another run")
    (tmp_path / "stop").touch()
    assert (collector.returncode, writer.wait(60)) == (0, 0), f"seed {seed}"
    assert (keys(store) & nobodys, young - keys(store), named - keys(store)) == (set(), set(), set()), f"seed {seed}"
    reachable = [json.loads(store.get(key)) for key in keys(store, "runs")]
    lost = [wrong for run in reachable for step in run["steps"] for wrong in damage(store, step["output"], 1.0)] + [
        run["source"] for run in reachable if store.size(Blob(**run["source"]).key) is None
    ]
    assert (lost, damage(store, digest, 1.0)) == ([], ()), f"seed {seed}"


def test_the_command_shows_first_and_removes_when_told(tmp_path: Path):
    store = open_store(str(tmp_path / "store"))
    one_run(store, 0)
    before = keys(store)
    nobodys = planted(store)
    make_old(store, keys(store))

    def gc(*options: str) -> "subprocess.CompletedProcess[str]":
        command = [*COMMAND, "gc", "--storage", store.url, *options]
        return subprocess.run(
            command,
            cwd=tmp_path,
            env=environment(tmp_path / "root"),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    shown = gc("--grace", "1")
    assert shown.returncode == 0, shown.stderr
    assert "nothing was removed; --delete does it" in shown.stdout
    assert keys(store) == before | nobodys
    told = json.loads(gc("--grace", "1", "--json").stdout)
    assert (told["deleted"], told["kinds"]["blobs"]["objects"], told["kept"]) == (False, 2, len(before))
    assert gc("--grace", "0.5").returncode == 2
    assert gc("--grace", "1", "--keep-runs", "-1").returncode == 2
    assert gc("--grace", "1", "--delete").returncode == 0
    assert keys(store) == before
    assert gc("--grace", "1", "--delete", "--keep-runs", "0").returncode == 0
    assert keys(store) == set()
