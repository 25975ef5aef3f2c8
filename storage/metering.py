"""What a step costs: wall time, processor, memory, bytes and GPU. What was not measured is None, never zero.

`metered` measures its block. What others do for it is added to it: threads that were handed their work by `carried`, child processes that
are reaped by `reap`, and Dask workers and programs that measure themselves and report (`measured`, `charge`).
"""

import contextvars
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

from storage.memory import childs_peak_bytes, held_bytes, unwatch, watch

Item = TypeVar("Item")
Result = TypeVar("Result")
Cost = dict[str, float | int | None]
FIGURES = ("wall_seconds", "cpu_seconds", "peak_memory_bytes", "bytes_in", "bytes_out", "gpu_seconds")
_POLL_SECONDS = 0.02


class Meter:
    """What is used for one piece of work, whoever uses it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wall, self._process, self._thread = time.perf_counter(), time.process_time(), time.thread_time()
        _, self._high_water = held_bytes()
        self._alone = True
        self._elsewhere_seconds = 0.0  # processor time of other processes
        self._helpers_seconds = 0.0  # of our other threads
        self._peaks: list[int] = []
        self._bytes = {"bytes_in": 0, "bytes_out": 0}
        self._gpu_seconds: float | None = None
        self._gpu_since: float | None = None
        self._cost: Cost = {}

    def cost(self) -> Cost:
        """The figures, once the block is left: `wall_seconds`, `cpu_seconds`, `peak_memory_bytes`, `bytes_in`, `bytes_out`, `gpu_seconds`.

        `cpu_seconds`: of all threads and processes that worked for it; where several meters were open in this process at once, what a
        library's own threads used in it cannot be told apart and is left out. `peak_memory_bytes`: the largest that any one process was.
        """
        return dict(self._cost)

    def add(self, cost: Mapping[str, Any]) -> None:
        """Count what another process used, told as by `cost`."""
        with self._lock:
            self._elsewhere_seconds += cost.get("cpu_seconds") or 0.0
            self._peaks += [cost["peak_memory_bytes"]] if cost.get("peak_memory_bytes") else []
            for name in self._bytes:
                self._bytes[name] += cost.get(name) or 0
            if cost.get("gpu_seconds") is not None:
                self._gpu_seconds = (self._gpu_seconds or 0.0) + cost["gpu_seconds"]

    def help(self, seconds: float) -> None:
        """Count the processor time of another thread of ours."""
        with self._lock:
            self._helpers_seconds += seconds

    def see(self, held_bytes: int) -> None:
        """Count what this process held at some moment."""
        with self._lock:
            self._peaks = [max([held_bytes, *self._peaks])]

    def share(self) -> None:
        """From now on it is known that another meter was open at the same time."""
        self._alone = False

    def hold_gpu(self) -> None:
        """A CUDA device is held from now to the end."""
        self._gpu_since = self._gpu_since or time.perf_counter()

    def close(self) -> None:
        """Settle the figures; in the thread that began."""
        now = time.perf_counter()
        own = time.process_time() - self._process if self._alone else time.thread_time() - self._thread
        helpers = 0.0 if self._alone else self._helpers_seconds
        if self._gpu_since is not None:
            self.add({"gpu_seconds": now - self._gpu_since})
        peaks = [*self._peaks, *self._own_peaks()]
        self._cost = {
            "wall_seconds": round(now - self._wall, 6),
            "cpu_seconds": round(own + helpers + self._elsewhere_seconds, 6),
            "peak_memory_bytes": max(peaks, default=None),
            **self._bytes,
            "gpu_seconds": None if self._gpu_seconds is None else round(self._gpu_seconds, 6),
        }

    def _own_peaks(self) -> list[int]:
        """What this process holds now, and its highest ever where that was reached in the meantime."""
        held, highest = held_bytes()
        grown = highest if self._high_water and highest and highest > self._high_water else None
        return [peak for peak in (held, grown) if peak is not None]


_meter: contextvars.ContextVar[Meter | None] = contextvars.ContextVar("meter", default=None)
_open: set[Meter] = set()
_lock = threading.Lock()


@contextmanager
def metered() -> Iterator[Meter]:
    """Measure what the block uses; the meter has its `cost` when the block is left."""
    meter = _begin()
    token = _meter.set(meter)
    watch(meter.see)
    try:
        yield meter
    finally:
        _meter.reset(token)
        unwatch(meter.see)
        meter.close()
        with _lock:
            _open.discard(meter)


def is_metered() -> bool:
    """Whether the work of this thread is being measured."""
    return _meter.get() is not None


def charge(cost: Mapping[str, Any]) -> None:
    """Count for the work of this thread what another process used for it."""
    if meter := _meter.get():
        meter.add(cost)


def hold_gpu() -> None:
    """The work of this thread holds a CUDA device from now to its end."""
    if meter := _meter.get():
        meter.hold_gpu()


def carried(function: Callable[[Item], Result]) -> Callable[[Item], Result]:
    """`function`, to be called in other threads for the work of this one: what it uses there counts here."""
    meter = _meter.get()
    return function if meter is None else partial(_help, meter, function)


def measured(function: Callable[[Item], Result]) -> Callable[[Item], tuple[Result, Cost]]:
    """`function`, to be called in another process: gives its result and what that cost, for `charge` here."""
    return partial(_measure, function)


def reap(process: subprocess.Popen[Any], seconds: float | None = None) -> int:
    """`process.wait(seconds)`, with what the child and those that it waited for have used counted for the work of this thread."""
    end = None if seconds is None else time.monotonic() + seconds
    while process.returncode is None:
        pid, status, used = os.wait4(process.pid, 0 if end is None else os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            peak = childs_peak_bytes(used)
            charge({"cpu_seconds": used.ru_utime + used.ru_stime, "peak_memory_bytes": peak})
        elif end is not None and time.monotonic() > end:
            raise subprocess.TimeoutExpired(process.args, seconds or 0.0)
        else:
            time.sleep(_POLL_SECONDS)
    return process.returncode


def _begin() -> Meter:
    with _lock:
        meter = Meter()
        for other in _open:
            other.share()
            meter.share()
        _open.add(meter)
    return meter


def _help(meter: Meter, function: Callable[[Item], Result], item: Item) -> Result:
    token, started = _meter.set(meter), time.thread_time()
    try:
        return function(item)
    finally:
        meter.help(time.thread_time() - started)
        _meter.reset(token)


def _measure(function: Callable[[Item], Result], item: Item) -> tuple[Result, Cost]:
    with metered() as meter:
        result = function(item)
    return result, meter.cost()
