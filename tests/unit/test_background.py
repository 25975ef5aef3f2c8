"""Programs in the background of a data root: found again, told apart, ended whole."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from commands import free_port, wait_for

from infra import background
from storage.errors import ConfigError, ProcessFailed

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
DEAF_PARENT = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True).pid, flush=True)
time.sleep(600)
"""
WAITING = """
import pathlib, sys, tempfile, time
home = pathlib.Path(sys.argv[1])
while not (home / "go").exists():
    time.sleep(0.05)
(home / "partial").write_text(tempfile.mkdtemp())
(home / "partial").rename(home / "folder")
time.sleep(600)
"""


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MILLRACE_ROOT", str(tmp_path))
    monkeypatch.setattr(background, "GRACE_SECONDS", 0.5)
    return tmp_path


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_program_goes_on_after_the_command_that_started_it_and_is_found_again(root: Path):
    code = f"from infra import background; background.start('one', {SLEEP!r}, {{}}, port=4200)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert background.is_running("one")
    assert background.facts_of("one")["port"] == 4200
    background.stop_all()
    assert (background.is_running("one"), background.facts_of("one")) == (False, {})


def test_a_program_keeps_a_place_for_temporary_files_when_the_command_that_started_it_has_ended(root: Path):
    waiting = [sys.executable, "-c", WAITING, str(root)]
    starter = (
        "from storage.root import keep_inside; from infra import background; keep_inside();"
        f" background.start('one', {waiting!r}, {{}})"
    )
    subprocess.run([sys.executable, "-c", starter], check=True, timeout=60)
    (root / "go").touch()
    wait_for((root / "folder").exists, "the program's folder")
    folder = Path((root / "folder").read_text())
    assert root in folder.parents
    background.stop_all()
    assert not folder.exists()


def test_a_number_that_was_given_to_another_process_is_not_taken_for_the_program(root: Path):
    background.start("one", SLEEP, {})
    file = root / "background" / "one.json"
    known = json.loads(file.read_text())
    file.write_text(json.dumps({**known, "started": known["started"] - 3600}))
    assert not background.is_running("one")
    assert background.stop_all() == 1  # its mark tells that it is ours all the same


def test_what_a_program_started_ends_with_it_even_in_a_session_of_its_own_and_if_the_program_is_deaf(root: Path):
    background.start("deaf", [sys.executable, "-c", DEAF_PARENT], {})
    child = int(wait_for(lambda: background.log_of("deaf").read_text().strip(), "the child's number"))
    parent = background.facts_of("deaf")["pid"]
    assert background.stop_all() == 2
    assert gone(child)
    assert gone(parent)


def test_a_child_whose_parent_was_killed_is_ended_too(root: Path):
    background.start("deaf", [sys.executable, "-c", DEAF_PARENT], {})
    child = int(wait_for(lambda: background.log_of("deaf").read_text().strip(), "the child's number"))
    os.kill(background.facts_of("deaf")["pid"], signal.SIGKILL)
    background.stop_all()
    assert gone(child)


def test_another_data_roots_programs_are_left_alone(root: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch):
    background.start("one", SLEEP, {})
    with monkeypatch.context() as other:
        other.setenv("MILLRACE_ROOT", str(tmp_path_factory.mktemp("other")))
        assert background.stop_all() == 0
    assert background.is_running("one")
    background.stop_all()


def test_a_program_that_ends_while_it_starts_is_told_by_its_last_line(root: Path):
    background.start("one", [sys.executable, "-c", "raise SystemExit('no room')"], {})
    with pytest.raises(ProcessFailed, match=r"one: ended while it started: no room\. Log: .*one\.log"):
        background.await_answer("one", lambda: False, seconds=30)


def test_a_port_that_is_taken_is_passed_over_or_refused_in_one_line():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", free_port()))
        taken.listen()
        port = taken.getsockname()[1]
        assert background.free_port(port, exactly=False) > port
        with pytest.raises(ConfigError, match=rf"port {port}: .*--port"):
            background.free_port(port, exactly=True)
