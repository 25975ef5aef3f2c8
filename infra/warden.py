"""Runs beside a program: where the one that watches over it dies without a word, this ends the program's whole process group.

`python warden.py GROUP`, told by standard input: a byte says that all is well, its mere end that nobody is left to say so. The tie of
`infra.tether` reaches one process; what that process started by means of its own (Prefect's temporary server) would stay. Standard
library only.
"""

import contextlib
import os
import signal
import sys


def main(group: int) -> None:
    """Wait for the end of standard input; without a byte before it, SIGKILL for the group."""
    if not os.read(0, 1):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    main(int(sys.argv[1]))
