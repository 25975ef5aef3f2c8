"""What this machine has: a container's limits count, wherever above the process they are set."""

import os
from pathlib import Path

import psutil
import pytest

from infra import machine


@pytest.fixture
def container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the control groups of a machine with 64 processors, with nothing in it yet."""
    monkeypatch.setattr(machine, "CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(machine, "MEMBERSHIP", tmp_path / "membership")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    return tmp_path / "cgroup"


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_the_lowest_limit_on_the_way_up_counts(container: Path):
    write(machine.MEMBERSHIP, "0::/pod/box\n")
    write(container / "pod" / "cpu.max", "150000 100000\n")
    write(container / "pod" / "box" / "cpu.max", "max 100000\n")
    write(container / "pod" / "memory.max", str(1 << 28))
    write(container / "pod" / "box" / "memory.max", "max")
    assert (machine.processors(), machine.memory_bytes()) == (2, 1 << 28)


def test_the_older_control_groups_count_too(container: Path):
    write(machine.MEMBERSHIP, "4:memory:/box\n3:cpu,cpuacct:/box\n1:name=systemd:/\n")
    write(container / "cpu,cpuacct" / "cpu.cfs_quota_us", "300000")
    write(container / "cpu,cpuacct" / "cpu.cfs_period_us", "100000")
    write(container / "memory" / "box" / "memory.limit_in_bytes", str(1 << 27))
    assert (machine.processors(), machine.memory_bytes()) == (3, 1 << 27)


def test_without_limits_it_is_the_machine(container: Path):
    write(machine.MEMBERSHIP, "0::/\n3:cpu,cpuacct:/\n")
    write(container / "cpu.max", "max 100000")
    write(container / "cpu" / "cpu.cfs_quota_us", "-1")
    write(container / "cpu" / "cpu.cfs_period_us", "100000")
    assert (machine.processors(), machine.memory_bytes()) == (64, psutil.virtual_memory().total)
    machine.MEMBERSHIP.unlink()
    assert machine.processors() == 64
