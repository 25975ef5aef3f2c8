"""What a program costs with all that it starts, whoever of them outlives whom: their processor time, exactly, and their memory, sampled."""

import ctypes
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import psutil

PR_SET_CHILD_SUBREAPER = 36  # prctl(2)
SAMPLE_SECONDS = 0.25


@dataclass
class Cost:
    """`said`: the JSON object that the program printed last; `peaks`: of each of its processes what it is and its greatest RSS and PSS."""

    cpu_seconds: float = 0.0
    said: dict[str, Any] = field(default_factory=dict)
    peaks: dict[int, tuple[str, int, int]] = field(default_factory=dict)

    def peak(self, name: str) -> tuple[int, int]:
        """The greatest RSS and PSS in bytes of those processes whose command has `name` in it."""
        found = [peak[1:] for peak in self.peaks.values() if name in peak[0]]
        return max((rss for rss, _ in found), default=0), max((pss for _, pss in found), default=0)


def cost_of(argv: Sequence[str], environment: Mapping[str, str], memory: bool = False) -> Cost:
    """Run `argv` to its end, and wait for all that it started: what it orphaned comes to this process, and is counted too."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise SystemExit("no subreaper on this system: these figures need Linux")
    cost, ended = Cost(), threading.Event()
    with subprocess.Popen(argv, env=dict(environment), stdout=subprocess.PIPE, text=True) as process:
        sampler = threading.Thread(target=_sample, args=(process.pid, cost, ended), daemon=True)
        memory and sampler.start()
        assert process.stdout is not None
        lines = process.stdout.read().splitlines()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    ended.set()
    cost.cpu_seconds = used.ru_utime + used.ru_stime + _orphans()
    if process.returncode:
        raise SystemExit(f"{' '.join(argv)}: ended with {process.returncode}")
    cost.said = json.loads(lines[-1]) if lines else {}
    return cost


def _orphans() -> float:
    """The processor seconds of those that were left, once they have ended."""
    seconds = 0.0
    while True:
        try:
            _, _, used = os.wait4(-1, 0)
        except ChildProcessError:
            return seconds
        seconds += used.ru_utime + used.ru_stime


def _sample(pid: int, cost: Cost, ended: threading.Event) -> None:
    while not ended.wait(SAMPLE_SECONDS):
        try:
            root = psutil.Process(pid)
            family = [root, *root.children(recursive=True)]
        except psutil.Error:
            continue
        for process in family:
            try:
                held = process.memory_full_info()
                name = " ".join(process.cmdline())
                parent = process.parent()
                forked = (
                    "worker " if parent and "forkserver" in name and "forkserver" in " ".join(parent.cmdline()) else ""
                )
            except (psutil.Error, OSError):
                continue
            _, rss, pss = cost.peaks.get(process.pid, ("", 0, 0))
            cost.peaks[process.pid] = (forked + name, max(rss, held.rss), max(pss, held.pss))


def this(*arguments: object) -> list[str]:
    """The command of this very program with other arguments."""
    return [sys.executable, sys.argv[0], *map(str, arguments)]
