"""Garbage collected beside those who write, and by the command."""

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from commands import COMMAND, environment, wait_for
from garbage_stores import keys, make_old, one_run, planted

from storage.blobs import Blob, put_blob
from storage.objects import open_store
from storage.wholeness import damage

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
