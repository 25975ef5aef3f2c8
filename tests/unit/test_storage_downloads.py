"""Downloads: old ones go, but not while another process may open one that it was handed."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from commands import wait_for

from storage.downloads import collect_downloads

HOUR = 3600.0
READER = """
import sys
from storage.downloads import downloads_folder
downloads_folder()
print("reading", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MILLRACE_ROOT", str(tmp_path / "root"))
    return tmp_path / "root"


def made(path: Path, hours: float) -> Path:
    """A file that was last read so many hours ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"12345")
    os.utime(path, (time.time() - hours * HOUR,) * 2)
    return path


def reader() -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", READER]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_what_nobody_read_for_long_goes_and_the_rest_stays(root: Path):
    old, young = made(root / "cache/blobs/aa/old", 2), made(root / "cache/blobs/bb/young", 0.5)
    others = made(root / "cache/matplotlib/fonts.json", 2)
    shown = collect_downloads(HOUR, delete=False)
    assert shown
    assert shown.kinds == {"downloads": (1, 5)}
    assert old.exists()
    assert collect_downloads(HOUR, delete=True) == shown
    assert (old.exists(), young.exists(), others.exists()) == (False, True, True)


def test_whole_arrays_that_nobody_read_for_long_go_too(root: Path):
    old, young = made(root / "cache/features/f1/train/x.npy", 2), made(root / "cache/features/f2/train/x.npy", 0.5)
    assert collect_downloads(HOUR, delete=True)
    assert [path.name for path in (root / "cache/features").iterdir()] == ["f2"]
    assert (old.exists(), young.exists()) == (False, True)


def test_none_goes_while_another_process_uses_them(root: Path):
    old = made(root / "cache/blobs/aa/old", 2)
    with reader() as process:
        assert process.stdout
        assert process.stdout.readline() == "reading\n"
        assert collect_downloads(HOUR, delete=True) is None
        assert old.exists()
        process.kill()
        process.wait()
    assert collect_downloads(HOUR, delete=True)
    assert not old.exists()


def test_who_comes_while_somebody_cleans_waits_for_the_end(root: Path):
    import fcntl

    made(root / "cache/blobs/aa/old", 2)
    with (root / "cache" / "in-use").open("w") as lock, reader() as process:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wait_for(lambda: waits(process.pid), "the wait of who comes late")
        fcntl.flock(lock, fcntl.LOCK_UN)
        assert process.communicate("\n", timeout=60)[0] == "reading\n"


def waits(process: int) -> bool:
    """Whether the process waits for a lock."""
    lines = Path("/proc/locks").read_text().splitlines()
    return any("->" in line and str(process) in line.split() for line in lines)
