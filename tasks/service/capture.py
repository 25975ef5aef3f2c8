"""A worker's part of the capture: a share of the requests, kept in a bounded buffer until the recorder takes them.

Nothing is encoded here and nothing waited for: what does not fit is dropped, and counted.
"""

import random
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from tasks.service.exchange import Request
from tasks.service.models import Served
from tasks.service.settings import CaptureSettings
from tasks.service.tally import Tally


@dataclass
class Capture:
    """Keeps a `share` of requests, up to `buffer` of them between two takings."""

    settings: CaptureSettings
    tally: Tally
    _kept: deque[list[Any]] = field(default_factory=deque)
    _labels: deque[list[Any]] = field(default_factory=deque)

    def offer(self, request: Request, served: Served, items: list[Any], predictions: list[Any]) -> None:
        """Keep a request and its answer, by chance."""
        if random.random() >= self.settings.share:
            return
        if len(self._kept) >= self.settings.buffer:
            self.tally.count("millrace_captured", served.name, "dropped")
            return
        self.tally.count("millrace_captured", served.name, "taken")
        row = [
            time.time(),
            request.id,
            request.subject,
            request.key,
            served.name,
            served.number,
            request.role,
            items,
            predictions,
        ]
        self._kept.append(row)

    def label(self, model: str, version: int, request_id: str, labels: list[Any]) -> None:
        """Keep the right answers to a request, whether it was kept itself or not; they are few."""
        if self.settings.share and len(self._labels) < self.settings.buffer:
            self._labels.append([time.time(), request_id, model, version, labels])

    def taken(self) -> list[list[list[Any]]]:
        """The requests and the labels that were kept since the last time."""
        taken = [list(self._kept), list(self._labels)]
        self._kept.clear()
        self._labels.clear()
        return taken
