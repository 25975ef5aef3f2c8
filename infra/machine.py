"""What this machine is: its processor and memory, and whether it has a CUDA device. Asks the system, so torch need not be loaded."""

import math
import os
import platform
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


@cache
def processor() -> str:
    """The processor's model name, as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


@cache
def has_cuda() -> bool:
    """Whether the NVIDIA driver lists at least one GPU."""
    try:
        listing = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return listing.returncode == 0 and "GPU" in listing.stdout


def resolve_device(wanted: str) -> str:
    """`auto` as `cuda` or `cpu`; anything else as it is."""
    if wanted != "auto":
        return wanted
    return "cuda" if has_cuda() else "cpu"


def processors() -> int:
    """How many processors this process may keep busy: those of the machine, less by affinity and by a container's quota."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([count, *map(math.ceil, _quotas())]))


def memory_bytes() -> int:
    """How much memory this process and its children may use together: the machine's, less by a container's limit."""
    limits = [*_numbers("memory.max"), *_numbers("memory.limit_in_bytes")]
    return min([os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), *(limit for limit, *_ in limits)])


def _quotas() -> Iterator[float]:
    """Processors by each quota above this process: of control groups version 2, then 1."""
    for quota, period in _numbers("cpu.max"):
        yield quota / period
    for (quota,), (period,) in zip(_numbers("cpu.cfs_quota_us"), _numbers("cpu.cfs_period_us"), strict=False):
        if quota > 0:  # -1: none
            yield quota / period


def _numbers(name: str) -> Iterator[list[int]]:
    """The numbers in each file `name` from this process's control group up; a file that says `max` sets no limit."""
    for folder in _control_groups():
        try:
            yield [int(word) for word in (folder / name).read_text().split()]
        except (OSError, ValueError):
            continue


def _control_groups() -> Iterator[Path]:
    """The folders of the control groups that this process is in. Within a container only the topmost may be there."""
    try:
        lines = MEMBERSHIP.read_text().splitlines()
    except OSError:
        return
    for _, controllers, path in (line.split(":", 2) for line in lines):
        mounts = (
            [CGROUPS] if not controllers else [CGROUPS / controllers, *(CGROUPS / c for c in controllers.split(","))]
        )
        group = Path(path.lstrip("/"))
        for above in dict.fromkeys((group, *group.parents)):
            yield from (mount / above for mount in dict.fromkeys(mounts))
