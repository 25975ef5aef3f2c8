"""Where the work says how far it is: to whoever listens in this process, and to the run's log.

An event is a small dict with at least `stage`; what else it holds is the stage's own (epoch, rows_per_second, …).
"""

import contextvars
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Event = dict[str, Any]
LOG_EVERY_SECONDS = 2.0
EPOCHS_EVERY_SECONDS = (
    0.5  # a small network has 60 epochs a second: each in the log would keep Prefect's database from all else
)

PAIRS = (
    ("epoch", "epochs", "epoch"),
    ("step", "steps", "step"),
    ("done", "total", "shard"),
    ("number", "passes", "pass"),
)
WORDS = {
    "train_loss": "loss {:.4f}",
    "validation_loss": "validation loss {:.4f}",
    "validation_metric": "validation metric {:.4f}",
    "rows": "{:,} rows",
    "rows_per_second": "{:,.0f} rows/s",
    "tokens_per_second": "{:,.0f} tokens/s",
    "model_bytes": "{:,} bytes",
    "seconds": "{:.1f} s",
    "time_left": "{} left",
}
PACE_SECONDS = 1.0  # what was done in less says little of what is to come

_listeners: list[Callable[[Event], None]] = []
_run_id = ""
_run_log: Any = None
_stage_log: contextvars.ContextVar[Any] = contextvars.ContextVar("stage_log", default=None)


def listen(listener: Callable[[Event], None]) -> Callable[[], None]:
    """Send every event to `listener` too; call what is returned to stop."""
    _listeners.append(listener)
    return lambda: _listeners.remove(listener)


@contextmanager
def logging_to(logger: Any) -> Iterator[None]:
    """Have what is reported inside go to this log; it holds for the threads that copy the context, too."""
    token = _stage_log.set(logger)
    try:
        yield
    finally:
        _stage_log.reset(token)


def reporter(stage: str, logger: Any = None) -> Callable[[Event], None]:
    """A function that reports events of `stage`; the log gets one line every two seconds at most (ends of epochs: two a second),
    and all that end something.

    `logger`: the stage's, if not that of `logging_to`. The log of the run as a whole gets the same, so that who looks at it need
    not look for the stage's own.
    """
    last_logged = 0.0
    logger = logger or _stage_log.get() or logging.getLogger("millrace")
    logs = [logger, _run_log] if _is_elsewhere(logger) else [logger]
    pace = _Pace()

    def report(event: Event) -> None:
        nonlocal last_logged
        full = {"stage": stage, **pace.added(event)}
        for listener in list(_listeners):
            listener(full)
        now = time.monotonic()
        is_due = now - last_logged > (EPOCHS_EVERY_SECONDS if "validation_loss" in event else LOG_EVERY_SECONDS)
        if is_due or event.get("event") not in (None, "progress") or remaining(event) == 0:
            last_logged = now
            for log in logs:
                log.log(logging.INFO, "%s", describe(full))

    return report


class _Pace:
    """How fast a stage goes on, since there was last nothing done of what it does now."""

    def __init__(self) -> None:
        self._began: tuple[float, float, int] | None = None  # when, what share was left then, how many rows were done

    def added(self, event: Event) -> Event:
        """The event with `rows_per_second`, where it counts rows, and `time_left` in words."""
        left, now = remaining(event), time.monotonic()
        if left is None:
            return event
        rows = event.get("rows", 0)
        if self._began is None or left > self._began[1]:
            self._began = (now, left, rows)
        since, left_then, rows_then = self._began
        if now - since < PACE_SECONDS or left == left_then:
            return event
        more: Event = {"rows_per_second": (rows - rows_then) / (now - since)} if rows > rows_then else {}
        if left > 0:
            more["time_left"] = _duration((now - since) * left / (left_then - left))
        return {**more, **event}


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def describe(event: Event) -> str:
    """An event as one line for people, as in `train: epoch 3/15, step 12/17, loss 0.0412, 480 rows/s`."""
    left = {name: value for name, value in event.items() if name not in ("stage", "event") and value is not None}
    kind = event.get("event")
    parts = [] if kind in (None, "progress", "pass") else [str(kind)]
    for one, all_, word in PAIRS:
        if one in left and all_ in left:
            parts.append(f"{word} {left.pop(one)}/{left.pop(all_)}".strip())
    for name, pattern in WORDS.items():
        if name in left:
            parts.append(pattern.format(left.pop(name)))
    parts += [f"{name.replace('_', ' ')} {_shown(value)}" for name, value in left.items()]
    return f"{event['stage']}: {', '.join(parts)}"


def remaining(event: Event) -> float | None:
    """The share of its stage's work that is still to do, where the event tells."""
    if "epochs" in event and "steps" in event:
        steps = event["epochs"] * event["steps"]
        return 1 - ((event["epoch"] - 1) * event["steps"] + event["step"]) / steps if steps else None
    return 1 - event["done"] / event["total"] if event.get("total") else None


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def set_run(run_id: str, log: Any) -> None:
    """Name the run that step records written by this process belong to, and the log of that run as a whole."""
    global _run_id, _run_log
    _run_id, _run_log = run_id, log


def current_run_id() -> str:
    """The run that this process works for; empty outside a run."""
    return _run_id


def _is_elsewhere(logger: Any) -> bool:
    """Whether what `logger` writes is not seen in the run's own log: it belongs to a stage's run of its own."""
    return _run_log is not None and _flow_run(logger) != _flow_run(_run_log)


def _flow_run(logger: Any) -> Any:
    return (getattr(logger, "extra", None) or {}).get("flow_run_id")
