"""Where the work says how far it is: to whoever listens in this process, and to the run's log.

An event is a small dict with at least `stage`; what else it holds is the stage's own (epoch, rows_per_second, …).
"""

import logging
import time
from collections.abc import Callable
from typing import Any

Event = dict[str, Any]
LOG_EVERY_SECONDS = 2.0

_listeners: list[Callable[[Event], None]] = []
_run_id = ""


def listen(listener: Callable[[Event], None]) -> Callable[[], None]:
    """Send every event to `listener` too; call what is returned to stop."""
    _listeners.append(listener)
    return lambda: _listeners.remove(listener)


def reporter(stage: str, logger: Any) -> Callable[[Event], None]:
    """A function that reports events of `stage`; the log gets one line every two seconds at most, and all that end something."""
    last_logged = 0.0

    def report(event: Event) -> None:
        nonlocal last_logged
        full = {"stage": stage, **event}
        for listener in list(_listeners):
            listener(full)
        now = time.monotonic()
        if (
            event.get("event") not in (None, "progress")
            or "validation_loss" in event
            or now - last_logged > LOG_EVERY_SECONDS
        ):
            last_logged = now
            logger.log(logging.INFO, "%s", describe(full))

    return report


def describe(event: Event) -> str:
    """An event as one line for people."""
    parts = [str(event["stage"])]
    for name, value in event.items():
        if name == "stage" or (name == "event" and value == "progress"):
            continue
        parts.append(
            str(value) if name == "event" else f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}"
        )
    return " ".join(parts)


def set_run_id(run_id: str) -> None:
    """Name the run that step records written by this process belong to."""
    global _run_id
    _run_id = run_id


def current_run_id() -> str:
    """The run that this process works for; empty outside a run."""
    return _run_id
