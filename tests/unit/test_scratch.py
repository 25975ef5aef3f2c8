"""What is temporary in the data root: gone with its process, swept after a kill, never taken from one that lives. Locks too."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from commands import ROOT, environment

from storage.locks import hold
from storage.root import UNFINISHED_SECONDS, scratch_folder, sweep, unfinished_folder

HOLDER = """
import sys
from contextlib import ExitStack
from pathlib import Path
from storage.locks import hold
from storage.root import keep_inside, scratch_folder, unfinished_folder
with ExitStack() as all_:
    keep_inside()
    folder = all_.enter_context(scratch_folder("busy"))
    (folder / "rows").write_text("half")
    all_.enter_context(unfinished_folder("train-1"))
    all_.enter_context(hold("a-step", lambda: None))
    print(folder, flush=True)
    sys.stdin.read()
"""
Start = Callable[[], tuple[subprocess.Popen[str], Path]]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MILLRACE_ROOT", str(tmp_path))
    return tmp_path


@pytest.fixture
def start(root: Path) -> Iterator[Start]:
    """Starts a process that has a scratch folder, and tells which."""
    started = []

    def begin() -> tuple[subprocess.Popen[str], Path]:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(root),
            cwd=ROOT,
        )
        started.append(process)
        assert process.stdout
        return process, Path(process.stdout.readline().strip())

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def temporary(root: Path) -> list[str]:
    """What lies in the data root for a while."""
    return sorted(path.name for part in ("scratch", "tmp", "locks") for path in (root / "work" / part).iterdir())


def test_a_living_process_keeps_its_own_and_leaves_nothing_at_its_end(root: Path, start: Start):
    process, folder = start()
    with scratch_folder("mine"):
        assert (folder / "rows").read_text() == "half"
    assert len(temporary(root)) == 3
    process.communicate("")
    assert process.returncode == 0
    assert temporary(root) == []
    assert not (root / "work" / "unfinished" / "train-1").exists()


def test_what_a_killed_process_left_is_swept_but_for_work_that_goes_on(root: Path, start: Start):
    process, folder = start()
    process.kill()
    process.wait()
    assert folder.exists()
    sweep()
    assert temporary(root) == []
    with unfinished_folder("train-1") as found:
        assert found == root / "work" / "unfinished" / "train-1"
    assert not found.exists()


def test_unfinished_work_is_kept_when_it_fails_and_swept_after_a_week_of_rest(root: Path):
    folder = root / "work" / "unfinished" / "train-2"

    def fail() -> None:
        with unfinished_folder("train-2"):
            (folder / "checkpoint").touch()
            raise ValueError("no good")

    with pytest.raises(ValueError, match="no good"):
        fail()
    sweep()
    assert (folder / "checkpoint").exists()
    long_ago = time.time() - UNFINISHED_SECONDS - 60
    for path in (folder / "checkpoint", folder):
        os.utime(path, (long_ago, long_ago))
    sweep()
    assert not folder.exists()


COUNTER = """
import sys
from pathlib import Path
from storage.locks import hold
counter = Path(sys.argv[1])
for _ in range(40):
    with hold("counter", lambda: None):
        counter.write_text(str(int(counter.read_text()) + 1))
"""


def test_a_lock_that_goes_with_its_holder_still_lets_in_one_at_a_time(root: Path):
    counter = root / "counter"
    counter.write_text("0")
    command = [sys.executable, "-c", COUNTER, str(counter)]
    processes = [subprocess.Popen(command, env=environment(root), cwd=ROOT) for _ in range(3)]
    with hold("another", lambda: None):
        while any(process.poll() is None for process in processes):
            sweep()
        assert temporary(root) == ["another"]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert counter.read_text() == "120"
    assert temporary(root) == []
