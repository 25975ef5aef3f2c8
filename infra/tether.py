"""Runs first in a child process: ties its life to its parent's, then becomes the program that was asked for.

`python tether.py PARENT_PID PROGRAM ARGUMENT…`. A program of its own, as code between fork and exec is not safe in a
parent that has threads. Standard library only. On systems other than Linux there is no tie.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # prctl(2); the setting survives exec


def main(parent: int, argv: list[str]) -> None:
    """Ask for SIGKILL at the parent's death, and become `argv`; ends at once if the parent is gone already."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)
    try:
        os.execvp(argv[0], argv)
    except OSError as error:
        sys.exit(f"cannot start {argv[0]}: {error.strerror}")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
