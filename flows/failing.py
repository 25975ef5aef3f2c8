"""How a program that carries out an order of the command fails: in one line on standard error, and by its exit code."""

import sys
import traceback

from storage.errors import ConfigError, MillraceError

FAILED, MISUSE = 1, 2


def failed(error: Exception, debug: bool, command: str, unforeseen: str = "") -> int:
    """Tell it; the exit code. `unforeseen`: what is said of an error that is none of ours, else its kind and how to see all of it."""
    if debug:
        traceback.print_exception(error)
    said = (
        unforeseen
        or f"{type(error).__name__}: {error}; run again with `millrace --debug {command} …` for the whole story"
    )
    sys.stderr.write(f"millrace: {error if isinstance(error, MillraceError) else said}\n")
    return MISUSE if isinstance(error, ConfigError) else FAILED
