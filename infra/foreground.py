"""Runs a program on this terminal, in a session of its own, so that Ctrl-C reaches it alone and in order.

On a terminal Ctrl-C goes to every process of the foreground group at once: a helper server would be gone before the program could tell it
how the run ended, and the program would wait for it for ever. Here only the program hears of it; what it leaves behind is ended, also where this process is killed.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from types import FrameType
from typing import IO

from infra import tether, warden
from storage.errors import ProcessLost

GRACE_SECONDS, TURN_SECONDS = 8.0, 0.5
INTERRUPTED = 130  # 128 + SIGINT, as shells have it


def run_in_foreground(
    argv: Sequence[str], given: bytes, environment: Mapping[str, str] | None = None, output: IO[bytes] | None = None
) -> int:
    """Run `argv` with `given` on its standard input; its exit code, or 130 where Ctrl-C, SIGTERM or the terminal's end (SIGHUP) ended it.

    `environment`: the whole of it, where it is not this process's; `output`: where its standard output goes instead of ours.

    The first signal asks it to stop and gives it eight seconds; a second one, or their end, kills it and all it started.
    """
    tied = [sys.executable, "-I", "-S", tether.__file__, str(os.getpid()), *argv]
    variables = {**(os.environ if environment is None else environment), "PYTHONSAFEPATH": "1"}
    process = subprocess.Popen(tied, stdin=subprocess.PIPE, stdout=output, env=variables, start_new_session=True)
    watch = _watch(process.pid)
    before = {number: signal.signal(number, _interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        _hand_over(process, given)
        return _awaited(process)
    except KeyboardInterrupt:
        _stop(process)
        return INTERRUPTED
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _kill_session(process)
        _hand_over(watch, b".")
        _awaited(watch)


def _watch(group: int) -> subprocess.Popen[bytes]:
    """A warden over the process group, in a session of its own."""
    argv = [sys.executable, "-I", "-S", warden.__file__, str(group)]
    return subprocess.Popen(argv, stdin=subprocess.PIPE, start_new_session=True)


def _hand_over(process: subprocess.Popen[bytes], given: bytes) -> None:
    """Write to its standard input, and close that; what has ended already hears nothing."""
    if process.stdin:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(given)
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()


def _awaited(process: subprocess.Popen[bytes]) -> int:
    """The exit code, waited for in short turns: a signal that the system hands to another thread of this process (obstore's have no
    Python in them) does not wake a wait without end in this one, which alone can act on it.
    """
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(TURN_SECONDS)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _stop(process: subprocess.Popen[bytes]) -> None:
    try:
        process.send_signal(signal.SIGINT)
        process.wait(GRACE_SECONDS)
    except (KeyboardInterrupt, subprocess.TimeoutExpired):
        return


def _kill_session(process: subprocess.Popen[bytes]) -> None:
    """End what is left of the program's process group, and reap it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    _awaited(process)


def carry_out(module: str, order: bytes, what: str, environment: Mapping[str, str] | None = None) -> int:
    """The exit code of `python -m module`, which reads its order on standard input. KeyboardInterrupt where it was interrupted,
    ProcessLost where something killed it; `what` is what such a process does, for the message. `environment`: as in `run_in_foreground`.
    """
    code = run_in_foreground([sys.executable, "-m", module], order, environment)
    if code == INTERRUPTED:
        raise KeyboardInterrupt
    if code < 0:
        by = signal.Signals(-code).name
        raise ProcessLost(f"{what} was killed by {by} (out of memory?); what was finished is kept, run again")
    return code
