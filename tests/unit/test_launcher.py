"""The launcher: real child processes that report, fail, are killed, and never outlive their parent."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from commands import gone, wait_for

from infra.launcher import beside, children_stopped, launch
from storage.errors import ConfigError, ProcessFailed, ProcessLost

SLEEP = "import time; time.sleep(600)"
ANNOUNCE = "import os, json; print(json.dumps({'pid': os.getpid()}), flush=True); "
FAMILY = (
    "import subprocess, sys, json, os, time\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
    "print(json.dumps({'pid': os.getpid(), 'child': child.pid}), flush=True)\n"
)


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_json_lines_arrive_in_order_and_the_rest_goes_to_the_log(tmp_path: Path):
    events: list[dict[str, Any]] = []
    code = (
        "import sys; print('{\"epoch\": 1}'); print('hello'); print('{\"epoch\": 2}'); print('{broken'); print('[1]');"
        "sys.stderr.write('warned')"
    )
    launch(python(code), on_line=events.append, log=tmp_path / "logs" / "log")
    assert events == [{"epoch": 1}, {"epoch": 2}]
    assert set((tmp_path / "logs" / "log").read_text().replace("warned", "warned\n").split()) == {
        "hello", "{broken", "[1]", "warned",
    }  # fmt: skip


def test_lines_arrive_while_the_child_is_still_at_work(tmp_path: Path):
    """The child ends only because of what is done on its first line."""
    flag = tmp_path / "flag"
    code = f"import os, time; print('{{\"ready\": true}}')\nwhile not os.path.exists({str(flag)!r}): time.sleep(0.01)"
    launch(python(code), on_line=lambda event: flag.touch(), log=tmp_path / "log")


def test_a_failed_child_is_told_by_its_last_line_and_its_log(tmp_path: Path):
    (tmp_path / "log").write_text("from an earlier attempt\n")
    with pytest.raises(ProcessFailed, match=r"ended with code 1: ValueError: no good\. Log: .*log"):
        launch(python("raise ValueError('no good')"), on_line=print, log=tmp_path / "log")
    with pytest.raises(ProcessFailed, match="ended with code 7: it left no message"):
        launch(python("raise SystemExit(7)"), on_line=print, log=tmp_path / "log")


def test_a_childs_own_error_is_passed_on(tmp_path: Path):
    events: list[dict[str, Any]] = []
    code = "import sys; print('{\"error\": \"column x: wanted numbers\"}'); sys.stderr.write('Traceback'); sys.exit(1)"
    with pytest.raises(ProcessFailed, match="column x: wanted numbers"):
        launch(python(code), on_line=events.append, log=tmp_path / "log")
    assert events == []


def test_a_killed_child_is_lost(tmp_path: Path):
    with pytest.raises(ProcessLost, match="was killed by SIGKILL"):
        launch(
            python(ANNOUNCE + SLEEP), on_line=lambda event: os.kill(event["pid"], signal.SIGKILL), log=tmp_path / "log"
        )


def test_a_program_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(ProcessFailed, match="cannot start no-such-program: No such file"):
        launch(["no-such-program"], on_line=print, log=tmp_path / "log")
    with pytest.raises(ConfigError, match="empty command"):
        launch([], on_line=print, log=tmp_path / "log")


def test_an_exception_in_the_parent_ends_the_whole_family(tmp_path: Path):
    pids: list[int] = []

    def interrupt(event: dict[str, int]) -> None:
        pids.extend(event.values())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        launch(python(FAMILY + SLEEP), on_line=interrupt, log=tmp_path / "log")
    wait_for(lambda: all(map(gone, pids)), "the family's end", seconds=30)
    assert len(pids) == 2


def test_a_child_that_ignores_sigterm_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("infra.launcher._GRACE_SECONDS", 0.2)
    pids: list[int] = []

    def interrupt(event: dict[str, int]) -> None:
        pids.append(event["pid"])
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        launch(
            python("import signal; signal.signal(15, signal.SIG_IGN); " + ANNOUNCE + SLEEP),
            on_line=interrupt,
            log=tmp_path / "log",
        )
    assert gone(pids[0])


def test_what_a_child_leaves_running_is_ended_with_it(tmp_path: Path):
    """The grandchild holds the child's output open: without its end there would be no end of reading."""
    events: list[dict[str, int]] = []
    launch(python(FAMILY), on_line=events.append, log=tmp_path / "log")
    wait_for(lambda: gone(events[0]["child"]), "the grandchild's end", seconds=30)


def test_the_child_dies_when_its_parent_is_killed(tmp_path: Path):
    parent_code = (
        "import sys; from pathlib import Path; from infra.launcher import launch\n"
        f"launch([sys.executable, '-c', {ANNOUNCE + SLEEP!r}], on_line=lambda e: print(e['pid'], flush=True),"
        f" log=Path({str(tmp_path / 'log')!r}))"
    )
    parent = subprocess.Popen(python(parent_code), stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    child = int(parent.stdout.readline())
    assert not gone(child)
    parent.kill()
    parent.communicate()
    wait_for(lambda: gone(child), "the child's end", seconds=30)


def test_settings_threads_and_the_search_path_are_the_childs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "__init__.py").write_text("raise RuntimeError('the wrong one')")
    monkeypatch.chdir(tmp_path)
    events: list[dict[str, str]] = []
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "show.py").write_text("import os, json, tasks; print(json.dumps(dict(os.environ)))")
    launch(
        [sys.executable, "-m", "show"],
        on_line=events.append,
        log=tmp_path / "log",
        env={"PYTHONPATH": str(tmp_path / "elsewhere"), "COLOUR": "blue"},
        threads=3,
    )
    assert (events[0]["COLOUR"], events[0]["OMP_NUM_THREADS"], events[0]["MKL_NUM_THREADS"]) == ("blue", "3", "3")


def test_two_children_run_at_once_from_two_threads(tmp_path: Path):
    met = threading.Barrier(2, timeout=60)
    failures: list[BaseException] = []

    def meet(_event: dict[str, Any]) -> None:
        met.wait()

    def start(name: str) -> None:
        try:
            launch(python("print('{}')"), on_line=meet, log=tmp_path / name)
        except BaseException as error:  # noqa: BLE001  # handed to the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=start, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


FAITHFUL = (  # a child beside us has to end its own group with its input
    "import json, os, signal, subprocess, sys\n"
    "order = json.loads(sys.stdin.readline())\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
    "print('to the log'); print(json.dumps({**order, 'pids': [os.getpid(), child.pid]}), flush=True)\n"
    "sys.stdin.read()\n"
)


def test_a_child_beside_us_answers_its_order_and_ends_with_the_block(tmp_path: Path):
    with beside(python(FAITHFUL), {"wanted": 3}, log=tmp_path / "log") as answer:
        first = answer()
        assert first["wanted"] == 3
        assert not any(map(gone, first["pids"]))
    wait_for(lambda: all(map(gone, first["pids"])), "the end of the child and of what it started")


def test_a_child_beside_us_that_ends_instead_of_answering_is_an_error(tmp_path: Path):
    for code, error in {
        'print(\'{"error": "no such thing"}\')': "^no such thing$",
        "raise ValueError('no good')": "ended with code 1: ValueError: no good",
        "pass": "ended before it answered",
    }.items():
        with pytest.raises(ProcessFailed, match=error), beside(python(code), {}, log=tmp_path / "log") as answer:
            answer()
    with (
        pytest.raises(ProcessLost, match="SIGKILL"),
        beside(python("import os; os.kill(os.getpid(), 9)"), {}, log=tmp_path / "log") as answer,
    ):
        answer()


def test_children_that_other_threads_wait_for_are_ended_and_not_begun_anew(tmp_path: Path):
    ended: list[BaseException] = []
    begun: list[dict[str, Any]] = []

    def work() -> None:
        try:
            launch(python(ANNOUNCE + SLEEP), on_line=begun.append, log=tmp_path / "log")
        except ProcessFailed as error:  # permanent: a step that was stopped on purpose is not tried again
            ended.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    wait_for(lambda: begun, "the child")
    with children_stopped():
        thread.join(30)
        assert gone(begun[0]["pid"])
        with pytest.raises(ProcessFailed, match="stopped together with the run"):
            launch(python("print()"), on_line=begun.append, log=tmp_path / "log")
    assert "stopped together with the run" in str(ended[0])
    launch(python("print()"), on_line=begun.append, log=tmp_path / "log")
