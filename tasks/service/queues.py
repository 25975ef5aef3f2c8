"""What waits for a model, in an order that is fair between keys: start-time fair queueing (Goyal, Vin and Cheng 1996), by rows.

A key that sends little is served at once, whatever another has waiting; with one key alone it is first come, first served.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True, eq=False)
class Work:
    """One request's rows and the answer it waits for; `came`, `expires` and `begun` by time.monotonic(), all of it told in `timing` if wanted."""

    columns: Mapping[str, Sequence[Any]]
    rows: int
    came: float
    expires: float
    answer: "asyncio.Future[list[Any]]"
    begun: float = 0.0
    dropped: bool = False
    key: str = ""
    timing: list[float] | None = None


@dataclass
class FairQueue:
    """`rows` wait in it, of those whose answer is still wanted or was not looked at yet."""

    rows: int = 0
    _heap: list[tuple[float, int, Work]] = field(default_factory=list)
    _by_key: dict[str, deque[Work]] = field(default_factory=dict)
    _rows_by_key: dict[str, int] = field(default_factory=dict)
    _finish: dict[str, float] = field(default_factory=dict)
    _now: float = 0.0
    _number: int = 0

    @property
    def holders(self) -> int:
        """Keys of which something waits."""
        return len(self._by_key)

    def put(self, work: Work, key: str) -> None:
        """Let it wait."""
        work.key = key
        start = max(self._now, self._finish.get(key, 0.0))
        self._finish[key] = start + work.rows
        self._number += 1
        heapq.heappush(self._heap, (start, self._number, work))
        self._by_key.setdefault(key, deque()).append(work)
        self._rows_by_key[key] = self._rows_by_key.get(key, 0) + work.rows
        self.rows += work.rows

    def first(self) -> Work | None:
        """Whose turn it is; what nobody waits for any more is passed over."""
        while self._heap:
            work = self._heap[0][2]
            if not work.answer.done():
                return work
            self.take()
        self._finish.clear()
        self._now = 0.0
        return None

    def take(self) -> None:
        """Remove the first."""
        self._now, _, work = heapq.heappop(self._heap)
        if not work.dropped:
            self._by_key[work.key].popleft()
            self._forget(work)

    def yields_to(self, key: str) -> bool:
        """Whether another key has more waiting than `key` has."""
        return max(self._rows_by_key.values(), default=0) > self._rows_by_key.get(key, 0)

    def drop_for(self, key: str) -> Work | None:
        """Remove the newest of the key that has the most; None where that is `key` itself."""
        if not self.yields_to(key):
            return None
        greediest = max(self._rows_by_key, key=self._rows_by_key.__getitem__)
        work = self._by_key[greediest].pop()
        work.dropped = True
        self._forget(work)
        return work if not work.answer.done() else self.drop_for(key)

    def _forget(self, work: Work) -> None:
        self.rows -= work.rows
        self._rows_by_key[work.key] -= work.rows
        if not self._by_key[work.key]:
            del self._by_key[work.key], self._rows_by_key[work.key]
