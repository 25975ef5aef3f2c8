"""Leases between machines, as numbered heartbeats: `leases/<name>/<20 digits>.json`, each created by its owner, who then deletes the one before.

A lease is alive while its newest heartbeat is younger than `TTL_SECONDS` by the store's clock, and its process, where it is one of this
machine's, is there. A dead one is taken over by creating the next number; of several takers one wins. Leases save work and no more: an owner
that was stopped for long may go on beside the next one, and what is committed first counts.
"""

import json
import os
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from storage.clock import elapsed, store_now
from storage.errors import ConfigError, MillraceError, NotFound
from storage.objects import Listed, ObjectStore

TTL_SECONDS, BEAT_SECONDS = 30.0, 10.0
SWEEP = "sweep"  # the lease of who collects garbage
SWEEP_WAITED_FOR = "waiting for the end of a garbage collection"
_END_SECONDS = 5.0
_FIRST_PAUSE_SECONDS, _LAST_PAUSE_SECONDS = 0.1, 2.0


class Lease:
    """One that this process holds. A thread of its own keeps it alive, from `start` to `end`."""

    def __init__(self, store: ObjectStore, name: str, number: int) -> None:
        self.name, self.number, self.lost = name, number, False
        self._store = store
        self._content = json.dumps({"owner": uuid.uuid4().hex, **_this_process()}).encode()
        self._lock, self._ended = threading.Lock(), threading.Event()
        self._beaten = elapsed()
        self._left: list[str] = []  # heartbeats to delete
        self._thread = threading.Thread(target=self._keep, name=f"lease {name}", daemon=True)

    @property
    def key(self) -> str:
        """Where its newest heartbeat lies."""
        return f"leases/{self.name}/{self.number:020d}.json"

    @property
    def held(self) -> bool:
        """Whether nobody can have taken it over, and will not for a while."""
        return not self.lost and elapsed() - self._beaten < TTL_SECONDS - BEAT_SECONDS

    def create(self) -> bool:
        """Write the heartbeat of this number; False if somebody else has."""
        begun = elapsed()
        self._left.append(self.key)
        created = self._store.put_if_absent(self.key, self._content, lasting=False)
        if created:
            self._beaten = begun
        return created

    def alone(self) -> bool:
        """Whether no other owner's heartbeat of this name is alive."""
        return not any(
            _alive(self._store, item) for item in _heartbeats(self._store, self.name) if item.key not in self._left
        )

    def beat(self) -> None:
        """Renew it, or find that it is lost."""
        with self._lock:
            if self._ended.is_set() or self.lost:
                return
            if elapsed() - self._beaten > TTL_SECONDS and not self.alone():
                self.lost = True
                return
            self.number += 1
            self.lost = not self.create()
            self._clear(1)

    def start(self) -> None:
        """Keep it alive from now on."""
        self._thread.start()

    def end(self) -> None:
        """Give it back. Where the store does not answer soon nobody waits for it: then it dies by itself."""
        self._ended.set()
        self._thread.join(_END_SECONDS)

    def _keep(self) -> None:
        while not self._ended.wait(BEAT_SECONDS) and not self.lost:
            with suppress(MillraceError):  # the store may be back at the next beat
                self.beat()
        self._ended.wait()
        with suppress(MillraceError):
            self._clear(1 if self.lost else 0)
            self._store.remove_empty(f"leases/{self.name}")

    def _clear(self, kept: int) -> None:
        """Delete all heartbeats but the last `kept`."""
        while len(self._left) > kept:
            self._store.delete(self._left[0])
            self._left.pop(0)


@contextmanager
def hold_lease(store: ObjectStore, name: str, waiting: Callable[[], None]) -> Iterator[Lease | None]:
    """Hold the lease `name`. While another owner has it `waiting` is called once, and its end awaited.

    None in a store that may only be read: nobody can take a lease there. Raises `StorageUnavailable` before it is held, never after.
    """
    try:
        lease = _taken(store, name) or _awaited(store, name, waiting)
    except ConfigError:
        yield None
        return
    lease.start()
    try:
        yield lease
    finally:
        lease.end()


@contextmanager
def running(store: ObjectStore, run_id: str, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Announce a run in progress; then, where garbage is being collected, `waiting` is called once, and the end of that awaited.

    In this order: who collects takes its lease before it looks for runs, so that one of the two always sees the other.
    """
    with hold_lease(store, f"run-{run_id}", waiting) as lease:
        if lease:
            outlast_sweep(store, waiting)
        yield


def live_runs(store: ObjectStore) -> set[str]:
    """The ids of the runs that are announced and alive."""
    folders = {item.key.split("/")[1] for item in store.survey("leases") if item.key.startswith("leases/run-")}
    return {folder.removeprefix("run-") for folder in folders if is_held(store, folder)}


def outlast_sweep(store: ObjectStore, waiting: Callable[[], None] = lambda: None) -> bool:
    """Wait until no garbage is being collected; whether any was."""
    if not is_held(store, SWEEP):
        return False
    waiting()
    pauses = _pauses()
    while is_held(store, SWEEP):
        time.sleep(next(pauses))
    return True


def is_held(store: ObjectStore, name: str) -> bool:
    """Whether somebody holds that lease."""
    return any(_alive(store, item) for item in reversed(_heartbeats(store, name)))


def _awaited(store: ObjectStore, name: str, waiting: Callable[[], None]) -> Lease:
    waiting()
    pauses = _pauses()
    while not (lease := _taken(store, name)):
        time.sleep(next(pauses))
    return lease


def _taken(store: ObjectStore, name: str) -> Lease | None:
    """The lease, if nobody has it and nobody is quicker."""
    before = _heartbeats(store, name)
    if any(_alive(store, item) for item in reversed(before)):
        return None
    lease = Lease(store, name, 1 + max(map(_number, before), default=0))
    if not lease.create():
        return None
    if not lease.alone():  # somebody took it on the strength of an older listing than ours, or we did
        store.delete(lease.key)
        return None
    for item in before:
        store.delete(item.key)
    return lease


def _pauses() -> Iterator[float]:
    """Seconds, growing, without end; no two waiters keep in step."""
    pause = _FIRST_PAUSE_SECONDS
    while True:
        yield pause * random.uniform(0.5, 1.0)
        pause = min(pause * 1.5, _LAST_PAUSE_SECONDS)


def _heartbeats(store: ObjectStore, name: str) -> list[Listed]:
    return [item for item in store.survey(f"leases/{name}") if _number(item) > 0]


def _number(item: Listed) -> int:
    text = item.key.rpartition("/")[2].removesuffix(".json")
    return int(text) if text.isdigit() else 0


def _alive(store: ObjectStore, item: Listed) -> bool:
    if store_now(store) - item.written >= TTL_SECONDS:
        return False
    try:
        owner = json.loads(store.get(item.key))
    except NotFound:
        return True  # replaced by the next one just now
    except ValueError:
        return True
    return not _is_gone(owner)


def _this_process() -> dict[str, Any]:
    return {"machine": _machine(), "process": os.getpid(), "started": _started(os.getpid())}


def _is_gone(owner: Any) -> bool:
    """Whether the owner is known to have ended: only on the machine that it ran on can this be said."""
    if not isinstance(owner, dict) or not _machine() or owner.get("machine") != _machine():
        return False
    return _started(owner.get("process")) != owner.get("started")


@cache
def _machine() -> str:
    """This machine since its last start, and its container, as far as they see the same processes; empty where that is not told."""
    try:
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _started(process: Any) -> str:
    """When a process of this machine started, in the kernel's ticks; empty if there is none, or its parent has only to notice its end."""
    try:
        told = Path(f"/proc/{int(process)}/stat").read_text()
    except (OSError, ValueError, TypeError):
        return ""
    state, *rest = told.rpartition(")")[2].split()
    return "" if state in "ZX" else rest[18]
