"""Rubbish: what dead processes left in the data root goes when it is old; while anybody else lives there nothing is touched."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import wait_for

from storage.root import alone, scratch_folder, work_folder
from storage.rubbish import collect_rubbish

HOUR = 3600.0
TENANT = """
import sys
from storage.root import scratch_folder
with scratch_folder("score") as folder:
    (folder / "half").write_bytes(b"12345")
    print(folder, flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MILLRACE_ROOT", str(tmp_path / "root"))
    return tmp_path / "root"


@pytest.fixture
def tenant(root: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process that lives in the data root."""
    with subprocess.Popen(
        [sys.executable, "-c", TENANT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


def made(path: Path, hours: float) -> Path:
    """A file that was last touched so many hours ago, and its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"12345")
    for one in (path, path.parent):
        os.utime(one, (time.time() - hours * HOUR,) * 2)
    return path


def waits(process: int) -> bool:
    """Whether the process waits for a lock."""
    lines = Path("/proc/locks").read_text().splitlines()
    return any("->" in line and str(process) in line.split() for line in lines)


def test_what_is_old_and_can_be_had_again_goes_and_what_is_young_or_a_persons_stays(root: Path):
    old = [made(root / name, 2) for name in ("prefect/storage/b", "cache/blobs/aa/c", "work/dask/a/b")]
    young = [made(root / name, 0.5) for name in ("prefect/storage/c", "cache/blobs/bb/c")]
    kept = [made(root / name, 2) for name in ("reports/a.html", "configs/a.yaml", "keys/signing.key")]
    shown = collect_rubbish(HOUR, delete=False)
    assert all(path.exists() for path in old)
    rubbish = collect_rubbish(HOUR, delete=True)
    assert rubbish == shown
    assert {kind: number for kind, (number, _) in rubbish.tally.kinds.items()} == {
        "workers' folders": 1, "Prefect's mirrors of results": 1, "downloads": 1,
    }  # fmt: skip
    assert not any(path.exists() for path in old)
    assert all(path.exists() for path in (*young, *kept))


def test_nothing_is_touched_while_another_process_lives_there(root: Path, tenant: "subprocess.Popen[str]"):
    assert tenant.stdout
    assert tenant.stdout.readline()
    old = made(root / "cache" / "blobs" / "aa" / "a", 2)
    rubbish = collect_rubbish(HOUR, delete=True)
    assert (rubbish.alone, rubbish.tally.kinds) == (False, {})
    assert old.exists()
    tenant.communicate("\n", timeout=30)
    assert collect_rubbish(HOUR, delete=True).alone
    assert not old.exists()


def test_who_comes_while_somebody_cleans_waits_for_the_end(root: Path, tenant: "subprocess.Popen[str]"):
    tenant.communicate("\n", timeout=30)
    with alone() as nobody_else:
        assert nobody_else
        command = [sys.executable, "-c", TENANT]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as late:
            wait_for(lambda: waits(late.pid), "the wait of who comes late")
            assert not any(work_folder("scratch").iterdir())
            late.kill()
    with scratch_folder("score") as folder:
        assert folder.exists()
