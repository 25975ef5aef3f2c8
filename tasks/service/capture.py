"""A worker's part of the capture: a share of the requests, packed into a bounded buffer until the supervisor takes them.

Nothing is waited for: what does not fit is dropped, and counted.
"""

import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import msgspec

from tasks.service.exchange import Request
from tasks.service.models import Served
from tasks.service.settings import CaptureSettings
from tasks.service.tally import Tally

_pack = msgspec.msgpack.Encoder().encode


@dataclass
class Capture:
    """Keeps a `share` of requests, up to `buffer` of them and so many bytes between two takings."""

    settings: CaptureSettings
    tally: Tally
    _requests: list[bytes] = field(default_factory=list)
    _labels: list[bytes] = field(default_factory=list)
    _counts: Counter[str] = field(default_factory=Counter)
    _bytes: int = 0

    def offer(self, request: Request, served: Served, items: list[Any], predictions: list[Any]) -> None:
        """Keep a request and its answer, by chance."""
        if random.random() >= self.settings.share:
            return
        whose = request.id, request.subject, request.key
        row = (time.time(), *whose, served.name, served.number, request.role, items, predictions)
        if self._keep(self._requests, served.name, row):
            self._counts[served.name] += 1

    def label(self, model: str, version: int, request_id: str, labels: list[Any]) -> None:
        """Keep the right answers to a request, whether it was kept itself or not."""
        if self.settings.share:
            self._keep(self._labels, model, (time.time(), request_id, model, version, labels))

    def taken(self) -> dict[str, Any] | None:
        """What was kept since the last time, as a batch for the recorder; None for nothing."""
        if not self._requests and not self._labels:
            return None
        taken = {"requests": self._requests, "labels": self._labels, "counts": self._counts}
        self._requests, self._labels, self._counts, self._bytes = [], [], Counter(), 0
        return taken

    def _keep(self, kept: list[bytes], model: str, row: tuple[Any, ...]) -> bool:
        """Pack at once: bytes can be bounded, and are cheap to hold. About half a microsecond for a small row."""
        kind = "" if kept is self._requests else "labels "
        try:
            packed = _pack(row)
        except (OverflowError, UnicodeEncodeError):  # an integer above 64 bits, for one
            packed = b""
        room = len(kept) < self.settings.buffer and self._bytes + len(packed) <= self.settings.buffer_mib * 2**20
        taken = bool(packed) and room
        if taken:
            kept.append(packed)
            self._bytes += len(packed)
        self.tally.count("millrace_captured", model, f"{kind}{'taken' if taken else 'dropped'}")
        return taken
