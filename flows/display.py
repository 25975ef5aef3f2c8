"""Live progress for people: one line that changes on a terminal, plain lines where the output is piped."""

import sys
import time
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TextIO

from flows.at_home import is_quiet
from tasks.progress import Event, describe, listen

PLAIN_EVERY_SECONDS = 5.0

_open: list["Display"] = []


def shown() -> AbstractContextManager[Any]:
    """A display for a run started from Python, unless there is one already, or Prefect shows its own log on the console."""
    return Display() if is_quiet() and not _open else nullcontext()


class Display:
    """Shows progress events while it is open. Use it as a context manager."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._live = None
        self._last_plain: dict[str, float] = {}

    def __enter__(self) -> "Display":
        if self._stream.isatty():
            from rich.console import Console
            from rich.status import Status

            self._live = Status("starting", console=Console(file=self._stream), spinner="dots")
            self._live.start()
        else:
            self._write("starting")
        self._stop = listen(self._on_event)
        _open.append(self)
        return self

    def __exit__(self, *exception: Any) -> None:
        _open.remove(self)
        self._stop()
        if self._live:
            self._live.stop()

    def _on_event(self, event: Event) -> None:
        kind = event.get("event")
        if kind in ("computed", "cached"):
            mark = "✓" if kind == "computed" else "="
            self._write(f"{mark} {event['stage']:<32} {kind:<9} {event['seconds']:6.1f} s")
        elif self._live:
            self._live.update(_without_markup(describe(event)))
        elif self._is_due(event):
            self._write(f"  {describe(event)}")

    def _is_due(self, event: Event) -> bool:
        """Piped output gets what matters, and progress at most every few seconds a stage."""
        if event.get("event") == "started":
            return False
        stage, now = event["stage"], time.monotonic()
        if (
            event.get("event") in (None, "progress")
            and now - self._last_plain.get(stage, -PLAIN_EVERY_SECONDS) < PLAIN_EVERY_SECONDS
        ):
            return False
        self._last_plain[stage] = now
        return True

    def _write(self, line: str) -> None:
        if self._live:
            self._live.console.print(line, markup=False, highlight=False)
        else:
            self._stream.write(line + "\n")
            self._stream.flush()


def _without_markup(text: str) -> str:
    from rich.markup import escape

    return escape(text)
