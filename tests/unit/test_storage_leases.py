"""Leases between real processes: one holds, the others wait; who is killed or stopped loses it, and commits are never hurt."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import wait_for
from racing import start_together
from real_s3 import RealS3
from stores import any_store, moto_server

from storage import leases
from storage.clock import store_now
from storage.errors import MillraceError
from storage.leases import hold_lease, is_held, live_runs, outlast_sweep, running
from storage.objects import ObjectStore, open_store
from storage.overwriting import overwrite

__all__ = ["any_store", "moto_server"]

# What an owner does: says when it waits, when it holds, and at a line from us lets go. `elsewhere`: it takes itself for another machine's.
OWNER = """
import sys, time
url, name, ttl, shift, elsewhere = sys.argv[1:6]
real = time.time
time.time = lambda: real() + float(shift)
from storage import leases
from storage.objects import open_store
leases.TTL_SECONDS, leases.BEAT_SECONDS = float(ttl), float(ttl) / 5
if elsewhere:
    leases._machine = lambda: elsewhere
def say(word):
    print(word, flush=True)
with leases.hold_lease(open_store(url), name, lambda: say("waiting")) as lease:
    say("holding")
    sys.stdin.readline()
    say("lost" if lease.lost else "kept")
say("done")
"""
RACER = """
import os, sys
from storage.leases import hold_lease
from storage.objects import open_store
store, log = open_store(sys.argv[1]), os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
print("ready", flush=True)
sys.stdin.readline()
for _ in range(3):
    with hold_lease(store, "a" * 64, lambda: None):
        os.write(log, b"(")
        os.write(log, b")")
"""
LONG = 30.0
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts owners, and ends them with the test."""
    owners: list[subprocess.Popen[str]] = []

    def begin(store: ObjectStore, ttl: float = LONG, shift: float = 0, elsewhere: str = "", name: str = "step") -> Any:
        command = [sys.executable, "-c", OWNER, store.url, name, str(ttl), str(shift), elsewhere]
        owners.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        return owners[-1]

    yield begin
    for owner in owners:
        owner.kill()
        owner.wait()


def said(owner: "subprocess.Popen[str]") -> str:
    assert owner.stdout
    return owner.stdout.readline().strip()


def let_go(owner: "subprocess.Popen[str]") -> list[str]:
    return owner.communicate("\n", timeout=60)[0].split()


def heartbeats(store: ObjectStore, name: str = "step") -> list[str]:
    return [key.rpartition("/")[2] for key, _ in store.list(f"leases/{name}")]


def test_the_second_waits_until_the_first_lets_go_and_nothing_is_left(any_store: ObjectStore, start: Start):
    first = start(any_store)
    assert said(first) == "holding"
    second = start(any_store)
    assert said(second) == "waiting"
    assert let_go(first) == ["kept", "done"]
    assert said(second) == "holding"
    assert let_go(second) == ["kept", "done"]
    assert heartbeats(any_store) == []


def test_the_lease_of_a_killed_process_of_this_machine_is_free_at_once(any_store: ObjectStore, start: Start):
    first = start(any_store, ttl=1e6)  # so that no waiting for its death by age could end
    assert said(first) == "holding"
    first.send_signal(signal.SIGKILL)
    first.wait()
    second = start(any_store, ttl=1e6)
    assert said(second) == "holding"
    assert let_go(second) == ["kept", "done"]
    assert heartbeats(any_store) == []


def test_the_lease_of_a_killed_process_of_another_machine_dies_of_age(any_store: ObjectStore, start: Start):
    first = start(any_store, ttl=2, elsewhere="there")
    assert said(first) == "holding"
    first.send_signal(signal.SIGKILL)
    first.wait()
    second = start(any_store, ttl=2)
    assert said(second) == "waiting"
    assert said(second) == "holding"


def test_a_lease_outlives_its_ttl_as_long_as_its_owner_beats(any_store: ObjectStore, start: Start):
    first = start(any_store, ttl=2, elsewhere="there")
    assert said(first) == "holding"
    wait_for(lambda: heartbeats(any_store)[-1:] > ["00000000000000000012.json"], "twelve heartbeats")
    second = start(any_store, ttl=2)
    assert said(second) == "waiting"
    assert let_go(first) == ["kept", "done"]
    assert said(second) == "holding"


def test_who_is_stopped_for_long_loses_it_and_goes_on_without_hurting_the_next(any_store: ObjectStore, start: Start):
    first = start(any_store, ttl=2)
    assert said(first) == "holding"
    first.send_signal(signal.SIGSTOP)
    second = start(any_store, ttl=2)
    assert said(second) == "waiting"
    assert said(second) == "holding"
    first.send_signal(signal.SIGCONT)
    newest = heartbeats(any_store)[-1]
    wait_for(lambda: heartbeats(any_store)[-1] > newest, "another heartbeat of the second")
    assert let_go(first)[-1] == "done"
    assert is_held(any_store, "step")
    assert let_go(second) == ["kept", "done"]


@pytest.mark.parametrize("shift", [-7200.0, 7200.0])
def test_a_machine_whose_clock_is_two_hours_off_keeps_and_respects_leases(
    any_store: ObjectStore, start: Start, shift: float
):
    first = start(any_store, shift=shift, elsewhere="there")
    assert said(first) == "holding"
    second = start(any_store)
    assert said(second) == "waiting"
    let_go(first)
    assert said(second) == "holding"
    third = start(any_store, shift=shift, elsewhere="there")
    assert said(third) == "waiting"
    let_go(second)
    assert said(third) == "holding"


def test_of_racing_processes_never_two_hold_it(any_store: ObjectStore, tmp_path: Path, start: Start):
    dead = start(any_store, name="a" * 64)
    assert said(dead) == "holding"
    dead.kill()
    dead.wait()
    log = tmp_path / "log"
    command = [sys.executable, "-c", RACER, any_store.url, str(log)]
    racers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    start_together(racers)
    assert [racer.communicate(timeout=120)[1] for racer in racers] == [""] * 4
    assert log.read_text() == "()" * 12
    assert heartbeats(any_store, "a" * 64) == []


def test_a_store_that_is_away_for_a_while_ends_no_lease(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(leases, "BEAT_SECONDS", 0.05)
    store = open_store(str(tmp_path / "store"))
    with hold_lease(store, "step", lambda: None) as lease:
        assert lease
        (tmp_path / "store").rename(tmp_path / "away")
        (tmp_path / "store").write_text("in the way")
        with pytest.raises(MillraceError):
            lease.beat()
        (tmp_path / "store").unlink()
        (tmp_path / "away").rename(tmp_path / "store")
        number = lease.number
        wait_for(lambda: lease.number > number + 2, "more heartbeats")
        assert lease.held
        assert is_held(store, "step")
    assert heartbeats(store) == []


def test_where_nothing_may_be_written_no_lease_is_taken_and_work_goes_on(real_s3: RealS3):
    url = f"s3://{real_s3.bucket}/x"
    open_store(url).put("leases/step/00000000000000000001.json", b"{}")
    denied = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": ["s3:PutObject"],
        "Resource": [f"arn:aws:s3:::{real_s3.bucket}/*"],
    }
    real_s3.client().put_bucket_policy(
        Bucket=real_s3.bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [denied]})
    )
    store = open_store(url)
    with hold_lease(store, "other", lambda: None) as lease, running(store, "20260131-235959-0a1b2c3d"):
        assert lease is None


def test_a_run_announces_itself_before_it_waits_for_the_end_of_a_sweep(any_store: ObjectStore):
    run_id, told, begun = "20260131-235959-0a1b2c3d", threading.Event(), threading.Event()

    def run() -> None:
        with running(any_store, run_id, told.set):
            begun.set()

    with hold_lease(any_store, leases.SWEEP, lambda: None):
        runner = threading.Thread(target=run)
        runner.start()
        assert told.wait(60)
        assert live_runs(any_store) == {run_id}
        assert not begun.is_set()
    assert begun.wait(60)
    runner.join(60)
    assert live_runs(any_store) == set()
    assert not outlast_sweep(any_store)


def test_what_a_sweep_takes_while_it_is_written_again_is_there_when_that_returns(any_store: ObjectStore):
    any_store.put("blobs/old", b"old")
    written = threading.Thread(target=lambda: overwrite(any_store, "blobs/old", b"again"))
    with hold_lease(any_store, leases.SWEEP, lambda: None):
        written.start()
        wait_for(lambda: any_store.get("blobs/old") == b"again", "the writing")
        any_store.delete("blobs/old")  # as a sweep may that listed it before
        assert written.is_alive()
    written.join(60)
    assert any_store.get("blobs/old") == b"again"


def test_the_stores_clock_is_told_whatever_this_machines_says(any_store: ObjectStore, monkeypatch: pytest.MonkeyPatch):
    any_store.put("now", b"")
    told = any_store.head("now")
    assert told
    command = (
        "import sys, time\nreal = time.time\ntime.time = lambda: real() + 7200\n"
        "from storage.clock import store_now\nfrom storage.objects import open_store\nprint(store_now(open_store(sys.argv[1])))"
    )
    answer = subprocess.run([sys.executable, "-c", command, any_store.url], capture_output=True, text=True, check=True)
    assert abs(float(answer.stdout) - told.written) < 60
    assert abs(store_now(any_store) - told.written) < 60
    assert [key for key, _ in any_store.list("probes")] == []
