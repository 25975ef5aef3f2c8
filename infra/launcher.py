"""Starts `python -m …` as a process of its own that reports in JSON lines, and never outlives the one that started it.

`launch` waits for its end; with `beside` it works for the block. The child leads its own process group. It ends with its parent,
and the whole group is ended when `launch` or the block is left, however that happens.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from infra import tether
from storage.errors import ConfigError, ProcessFailed, ProcessLost
from storage.metering import charge, reap

_GRACE_SECONDS = 5.0
_THREAD_SETTINGS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
# -m would look for modules in the current folder first, where a user may well have a package called `tasks`.
_ALWAYS = {"PYTHONUNBUFFERED": "1", "PYTHONSAFEPATH": "1"}
_children: set[int] = set()  # leaders of groups that other threads wait for
_stopping = threading.Event()


def launch(
    argv: Sequence[str],
    *,
    on_line: Callable[[dict[str, Any]], None],
    log: Path,
    env: Mapping[str, str] | None = None,
    threads: int | None = None,
) -> None:
    """Run `argv` to its end, handing each JSON object that it prints to `on_line`; the rest of its output goes to `log`.

    `env` adds to this process's environment; `threads` limits the child's mathematics libraries. Raises `ProcessLost` if
    a signal killed it, `ProcessFailed` if it ended with another code than 0: with the text of its `{"error": …}` line
    or else its last line in the log. Any exception here, from `on_line` or Ctrl-C, ends the child first.
    """
    if not argv:
        raise ConfigError("cannot start an empty command; give a program and its arguments")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as log_file:
        start = log_file.tell()
        _refuse_stopped(argv)
        process = _start(argv, log_file, {**os.environ, **_ALWAYS, **_limits(threads), **(env or {})})
        sweeper = _sweeper(process)
        _children.add(process.pid)
        try:
            error = _listen(process, on_line, log_file)
            sweeper.join()
        finally:
            _children.discard(process.pid)
            _end(process, sweeper)
    _refuse_stopped(argv)
    _judge(" ".join(_shown(argv)), process.returncode, error or _last_line(log, start), log)


@contextmanager
def beside(
    argv: Sequence[str], order: Mapping[str, Any], *, log: Path, env: Mapping[str, str] | None = None
) -> Iterator[Callable[[], dict[str, Any]]]:
    """Run `argv` while the block lasts; gives a function that waits for the next JSON object that it prints.

    The child finds `order` as a line of JSON on its standard input, which then stays open: it has to end itself and its group when
    that ends, as it does with the block or with this process. The function raises as `launch` does where the child ended instead.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as log_file:
        start = log_file.tell()
        process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log_file,
            env={**os.environ, **_ALWAYS, **(env or {})},
            start_new_session=True,
        )
    sweeper = _sweeper(process)

    def answer() -> dict[str, Any]:
        event = _next_event(process)
        if event is not None:
            return event
        sweeper.join()
        _judge(" ".join(_shown(argv)), reap(process), _last_line(log, start), log)
        raise ProcessFailed(f"process {' '.join(_shown(argv))} ended before it answered. Log: {log}")

    try:
        with suppress(BrokenPipeError):  # it has ended already: the first answer will say why
            _tell(process, order)
        yield answer
    finally:
        _dismiss(process, sweeper)


def _start(argv: Sequence[str], log_file: IO[bytes], env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    tied = [sys.executable, "-I", "-S", tether.__file__, str(os.getpid()), *argv]
    return subprocess.Popen(
        tied, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log_file, env=dict(env), start_new_session=True
    )


def _tell(process: subprocess.Popen[bytes], order: Mapping[str, Any]) -> None:
    if process.stdin:
        process.stdin.write(json.dumps(order).encode() + b"\n")
        process.stdin.flush()


def _next_event(process: subprocess.Popen[bytes]) -> dict[str, Any] | None:
    for line in process.stdout or ():
        event = _parsed(line)
        if event is not None and "error" in event:
            raise ProcessFailed(str(event["error"]))
        if event is not None:
            return event
    return None


def _dismiss(process: subprocess.Popen[bytes], sweeper: threading.Thread) -> None:
    """End the input of a child beside us: the sign to end. Reaps it."""
    try:
        with suppress(BrokenPipeError):
            if process.stdin:
                process.stdin.close()
        sweeper.join(_GRACE_SECONDS)
    finally:
        _end(process, sweeper)


def _listen(process: subprocess.Popen[bytes], on_line: Callable[[dict[str, Any]], None], log_file: IO[bytes]) -> str:
    """Hand on what the child says until it says no more; the text of its error, or an empty one."""
    error = ""
    for line in process.stdout or ():
        event = _parsed(line)
        if event is None:
            log_file.write(line)
            log_file.flush()
        elif "error" in event:
            error = str(event["error"])
        elif "usage" in event:
            charge(
                {**event["usage"], "cpu_seconds": None}
            )  # the system will tell it when the child is reaped, with its children's
        else:
            on_line(event)
    return error


def _sweeper(process: subprocess.Popen[bytes]) -> threading.Thread:
    thread = threading.Thread(target=_sweep, args=(process.pid,), daemon=True)
    thread.start()
    return thread


def _sweep(pid: int) -> None:
    """When the child has ended, end what it left running: a grandchild could hold its output open for ever."""
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # not yet reaped: no other process can bear its number
    _signal_group(pid, signal.SIGKILL)


def _end(process: subprocess.Popen[bytes], sweeper: threading.Thread) -> None:
    """Ask the child's group to end, then make it; reaps the child."""
    try:
        if sweeper.is_alive():
            _signal_group(process.pid, signal.SIGTERM)
            sweeper.join(_GRACE_SECONDS)
    finally:
        if sweeper.is_alive():
            _signal_group(process.pid, signal.SIGKILL)
        sweeper.join()
        reap(process)
        if process.stdout:
            process.stdout.close()


def _signal_group(pid: int, number: int) -> None:
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):  # PermissionError: on macOS, where only a zombie is left
        return


def _judge(name: str, code: int, error: str, log: Path) -> None:
    if code < 0:
        killer = signal.Signals(-code).name
        raise ProcessLost(
            f"process {name} was killed by {killer}; it is started again where retries are left. Log: {log}"
        )
    if code > 0:
        raise ProcessFailed(f"process {name} ended with code {code}: {error or 'it left no message'}. Log: {log}")


def _parsed(line: bytes) -> dict[str, Any] | None:
    if not line.startswith(b"{"):
        return None
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _last_line(log: Path, start: int) -> str:
    with log.open("rb") as file:
        file.seek(max(start, file.seek(0, os.SEEK_END) - 8192))
        lines = file.read().decode(errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else ""


def _limits(threads: int | None) -> dict[str, str]:
    # Threads that wait by spinning take the processor from those they wait for, wherever something else runs, too: measured with two
    # threads on two busy cores, 1,660 tokens/s with spinning and 9,390 without.
    return {**dict.fromkeys(_THREAD_SETTINGS, str(threads)), "OMP_WAIT_POLICY": "PASSIVE"} if threads else {}


def _shown(argv: Sequence[str]) -> Sequence[str]:
    """The command without the interpreter's path: `tasks.nn.trainer job.json`."""
    return argv[2:] if list(argv[1:2]) == ["-m"] else argv


@contextmanager
def children_stopped() -> Iterator[None]:
    """End the children that other threads of this process wait for, and start no new ones, while this is open.

    For those threads it is a permanent failure: nobody tries again what was stopped on purpose.
    """
    _stopping.set()
    try:
        for number in (signal.SIGTERM, signal.SIGKILL):
            for pid in list(_children):
                _signal_group(pid, number)
            end = time.monotonic() + _GRACE_SECONDS
            while _children and time.monotonic() < end:
                time.sleep(0.05)
        yield
    finally:
        _stopping.clear()


def _refuse_stopped(argv: Sequence[str]) -> None:
    if _stopping.is_set():
        raise ProcessFailed(f"process {' '.join(_shown(argv))} was stopped together with the run")
