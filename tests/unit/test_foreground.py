"""A program on this terminal: its exit code comes back, and nothing that it started outlives the one who watches over it."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import ROOT, environment, gone, wait_for

FAMILY = (  # a grandchild that no tie reaches, as Prefect starts its temporary server
    "import subprocess, sys, os, time\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
    "print(sys.stdin.read(), os.getpid(), child.pid, flush=True)\n"
    "{then}\n"
)
WATCHER = (
    "import sys; from infra.foreground import run_in_foreground\n"
    "{before}\n"
    "sys.exit(run_in_foreground([sys.executable, '-c', {program!r}], b'given'))"
)
ELSEWHERE = """
import os, signal, threading, time
def take():
    while not os.path.exists({file!r}):
        time.sleep(0.02)
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)
threading.Thread(target=take, daemon=True).start()
"""
Watched = Callable[..., tuple[subprocess.Popen[str], list[int]]]


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    """Starts a watcher over a program with a child; the two processes' numbers."""

    def start(then: str, before: str = "") -> tuple[subprocess.Popen[str], list[int]]:
        code = WATCHER.format(program=FAMILY.format(then=then), before=before)
        signal.signal(signal.SIGINT, signal.default_int_handler)  # what a background shell starts is deaf to Ctrl-C
        watcher = subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment(tmp_path)
        )
        assert watcher.stdout
        given, *pids = watcher.stdout.readline().split()
        assert given == "given"
        return watcher, [int(pid) for pid in pids]

    return start


def test_a_programs_exit_code_comes_back_and_what_it_left_is_ended(watched: Watched):
    watcher, pids = watched("sys.exit(7)")
    assert watcher.wait(60) == 7
    wait_for(lambda: all(map(gone, pids)), "the family's end")


def test_a_killed_watcher_takes_the_program_and_all_that_it_started_with_it(watched: Watched):
    watcher, pids = watched("time.sleep(600)")
    assert not any(map(gone, pids))
    os.kill(watcher.pid, signal.SIGKILL)
    watcher.wait()
    wait_for(lambda: all(map(gone, pids)), "the family's end")


def test_ctrl_c_reaches_the_program_and_ends_all(watched: Watched):
    watcher, pids = watched("time.sleep(600)")
    os.kill(watcher.pid, signal.SIGINT)
    assert watcher.wait(60) == 130
    wait_for(lambda: all(map(gone, pids)), "the family's end")


def test_ctrl_c_is_heard_also_where_the_system_hands_it_to_another_thread(watched: Watched, tmp_path: Path):
    now = tmp_path / "now"
    watcher, pids = watched("time.sleep(600)", before=ELSEWHERE.format(file=str(now)))
    now.touch()
    assert watcher.wait(60) == 130
    wait_for(lambda: all(map(gone, pids)), "the family's end")
