"""Programs that go on in the background of a data root when the command that started them has ended, and that can be stopped whole.

`background/<name>.json` says which process a program is: its number and its start, as a number is given again. Everything that it starts
inherits a mark in its environment, by which nothing is left behind when all is stopped, whatever became of that file.
"""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from storage.errors import ConfigError, ProcessFailed
from storage.root import data_root

MARK = "MILLRACE_BACKGROUND"
GRACE_SECONDS = 10.0
HIGHEST_PORT = 65535


def start(name: str, argv: Sequence[str], env: Mapping[str, str], **facts: Any) -> None:
    """Start `argv` in a session of its own, its output in `background/<name>.log`; `facts` are kept for `facts_of`.

    Its temporary files lie beside the log: this process's own go with this process.
    """
    folder, temporary = _folder(), _temporary_folder()
    temporary.mkdir(parents=True, exist_ok=True)
    with log_of(name).open("ab") as log:
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, **env, "TMPDIR": str(temporary), MARK: str(folder)},
            start_new_session=True,
        )
    known = {**facts, "pid": process.pid, "started": psutil.Process(process.pid).create_time()}
    (folder / f"{name}.json").write_text(json.dumps(known))


def is_running(name: str) -> bool:
    """Whether the program that was started under this name still is that process."""
    return _process(name) is not None


def facts_of(name: str) -> dict[str, Any]:
    """What is known of the program, running or not; empty if it was never started or was stopped."""
    try:
        return json.loads((_folder() / f"{name}.json").read_text())
    except (OSError, ValueError):
        return {}


def await_answer(name: str, answers: Callable[[], bool], seconds: float) -> None:
    """Wait until `answers()` is true. Raises ProcessFailed where the program ended before, or the time is over."""
    end = time.monotonic() + seconds
    while not answers():
        if not is_running(name):
            raise ProcessFailed(f"{name}: ended while it started: {last_line(name)}. Log: {log_of(name)}")
        if time.monotonic() > end:
            raise ProcessFailed(f"{name}: no answer after {seconds:.0f} s: {last_line(name)}. Log: {log_of(name)}")
        time.sleep(0.2)


def stop_all() -> int:
    """End every program of this data root and all that they started, first politely; how many processes there were."""
    ended = 0
    for _ in range(3):  # again, for what was being started meanwhile
        processes = _marked()
        _end(processes)
        ended += len(processes)
    for file in _folder().glob("*.json"):
        file.unlink()
    shutil.rmtree(_temporary_folder(), ignore_errors=True)
    return ended


def log_of(name: str) -> Path:
    """Where the program's output goes."""
    return _folder() / f"{name}.log"


def last_line(name: str) -> str:
    """The last line of its output that says something."""
    with contextlib.suppress(OSError), log_of(name).open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 8192))
        lines = file.read().decode(errors="replace").strip().splitlines()
        return lines[-1].strip() if lines else "it left no message"
    return "it left no message"


def free_port(wanted: int, exactly: bool) -> int:
    """`wanted`, or the next port above it that nobody listens on; with `exactly` ConfigError where it is taken."""
    for port in range(wanted, HIGHEST_PORT + 1):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError as error:
                if exactly:
                    raise ConfigError(
                        f"port {wanted}: {error.strerror}; stop what listens there, or choose another with --port"
                    ) from None
    raise ConfigError(f"port {wanted}: no free port from there on; choose another with --port")


def _folder() -> Path:
    return data_root() / "background"


def _temporary_folder() -> Path:
    return _folder() / "tmp"


def _process(name: str) -> psutil.Process | None:
    known = facts_of(name)
    with contextlib.suppress(psutil.Error, KeyError):
        process = psutil.Process(known["pid"])
        if abs(process.create_time() - known["started"]) < 1 and process.status() != psutil.STATUS_ZOMBIE:
            return process
    return None


def _marked() -> list[psutil.Process]:
    """Everything alive that bears this data root's mark, but for this process and those above it."""
    above = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid not in above and process.environ().get(MARK) == str(_folder()):
                found += [] if process.status() == psutil.STATUS_ZOMBIE else [process]
    return found


def _end(processes: list[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.terminate()
    _, alive = psutil.wait_procs(processes, timeout=GRACE_SECONDS)
    for process in alive:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(alive, timeout=GRACE_SECONDS)
