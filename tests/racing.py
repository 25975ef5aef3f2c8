"""Processes that race: all are ready before the first may go."""

import subprocess
from collections.abc import Sequence


def start_together(racers: Sequence[subprocess.Popen[str]]) -> None:
    """Wait for a line from each racer's stdout, then send each a line."""
    for racer in racers:
        assert racer.stdout
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin
        racer.stdin.write("go\n")
        racer.stdin.flush()
