"""The micro-batcher: takes what waits as soon as the model is idle, gathers while it is busy. There is no timer.

A short forward runs on the event loop, a longer one in a thread. A batch that fails is halved until the rows at fault are
alone, so that nobody else's answer suffers. Requests that were cancelled or waited too long are dropped before the forward.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from tasks.service.limits import Limits
from tasks.service.queues import FairQueue, Work
from tasks.service.refusals import Refusal
from tasks.transforms.items import ItemError

Columns = Mapping[str, Sequence[Any]]
Predict = Callable[[Columns], list[Any]]
Observe = Callable[[Sequence[Work], int, float], None]  # a batch's works, its rows, and the seconds of its forward
Outcome = tuple[Work, "list[Any] | Refusal"]
ON_LOOP_SECONDS = 0.001  # a hop to a thread and back costs about 0.1 ms
QUIET_TURNS = 3  # an answer is sent in one turn of the loop, the next request read at its end, and taken in in another
NEWEST = 0.1  # weight of the newest batch in what a row is thought to cost
NO_ANSWER = "no_answer"  # the item is as wanted, and yet the model has no finite answer for it
RETRY = {"retry-after": "1"}
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cost:
    """Seconds of a forward, as measured when the model was warmed: `fixed` + rows × `row`."""

    fixed: float
    row: float

    def of(self, rows: int) -> float:
        """Seconds of a forward of `rows` rows."""
        return self.fixed + rows * self.row


class Batcher:
    """Batches for one loaded model, on the event loop that is running."""

    def __init__(self, predict: Predict, cost: Cost, executor: Executor, limits: Limits, observe: Observe) -> None:
        self._predict, self._cost, self._executor = predict, cost, executor
        self._limits, self._observe = limits, observe
        self._queue, self._lock = FairQueue(), threading.Lock()
        self._scheduled = self._busy = False  # busy: the thread computes, and takes full batches by itself
        self._row_seconds = cost.of(limits.batch_rows) / limits.batch_rows

    @property
    def queued_rows(self) -> int:
        """Rows that wait."""
        return self._queue.rows

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing is computed."""
        return not self._queue.rows and not self._busy

    @property
    def takes_long(self) -> bool:
        """Whether what waits now takes so long that a client may go away meanwhile."""
        return self._busy or self._cost.of(min(self.queued_rows, self._limits.batch_rows)) >= ON_LOOP_SECONDS

    def room(self, rows: int, key: str) -> None:
        """Refusal 503 when too much waits already, 429 when it is this key's own."""
        with self._lock:
            self._room(rows, key)

    def _room(self, rows: int, key: str) -> None:
        if not self._queue.rows or self._fits(rows):
            return
        if not self._queue.yields_to(key):
            found = f"queue: found {self._queue.rows} rows waiting"
            if self._queue.holders > 1:
                raise Refusal(429, f"{found}, the most by this key; try again later", headers=RETRY, kind="overloaded")
            raise Refusal(503, f"{found}; try again later", headers=RETRY)

    def submit(
        self,
        columns: Columns,
        rows: int,
        key: str = "",
        seconds: float = 0.0,
        timing: list[float] | None = None,
    ) -> asyncio.Future[list[Any]]:
        """The future predictions of `rows` rows that `parse` has accepted; Refusal 429 or 503 when too much waits.

        `key`: whose turn it takes; `seconds`: how long it may wait, where that is less than the limit; `timing`: is told when they came,
        when the forward began, both by time.monotonic(), and its seconds.
        """
        now, most = time.monotonic(), self._limits.queue_seconds
        answer = asyncio.get_running_loop().create_future()
        work = Work(columns, rows, now, now + (min(seconds, most) if seconds else most), answer)
        work.timing = timing
        with self._lock:
            self._room(rows, key)
            while self._queue.rows and not self._fits(rows) and (last := self._queue.drop_for(key)):
                message = f"queue: found {self._queue.rows} rows waiting, the most by this key; try again later"
                last.answer.set_exception(Refusal(429, message, headers=RETRY, kind="overloaded"))
            self._queue.put(work, key)
        self._wake()
        return answer

    def _fits(self, rows: int) -> bool:
        waiting = self._queue.rows + rows
        return waiting <= self._limits.queue_rows and waiting * self._row_seconds <= self._limits.wait_seconds

    def _wake(self) -> None:
        if not self._scheduled and not self._busy and self._queue.rows:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._next)  # after the other requests that this turn has read

    def _next(self) -> None:
        self._scheduled = False
        batch, late = self._gather()
        if not batch or self._cost.of(_rows(batch)) < ON_LOOP_SECONDS:
            self._settle(late, *timed(self._predict, batch))
            self._wake()
            return
        self._busy = True
        self._executor.submit(self._compute, asyncio.get_running_loop(), batch, late)

    def _compute(self, loop: asyncio.AbstractEventLoop, batch: list[Work], late: list[Work]) -> None:
        """In the thread: this batch, and then whatever full one waits, without the loop, which under overload comes round too rarely."""
        outcomes, seconds = timed(self._predict, batch)
        following = self._gather() if self._queue.rows >= self._limits.batch_rows else None
        loop.call_soon_threadsafe(self._finished, late, outcomes, seconds, following is None)
        if following:
            self._executor.submit(self._compute, loop, *following)  # after the batches of other models

    def _finished(self, late: list[Work], outcomes: list[Outcome], seconds: float, last: bool) -> None:
        self._settle(late, outcomes, seconds)
        if last:
            self._busy, self._scheduled = False, True
            asyncio.get_running_loop().call_soon(self._read_on, -1, 0)

    def _read_on(self, seen: int, quiet: int) -> None:
        """Begin the next batch as soon as a few turns of the loop bring nothing more: while there are answers to send and requests to read,
        the loop needs the core that the forward would need, and a fuller batch costs less a row. Otherwise the clients fall into two halves
        for ever, of which one waits while the other is computed.
        """
        rows = self._queue.rows
        quiet = quiet + 1 if rows == seen else 0
        if quiet < QUIET_TURNS and rows < self._limits.batch_rows:
            asyncio.get_running_loop().call_soon(self._read_on, rows, quiet)
        else:
            self._next()

    def _gather(self) -> tuple[list[Work], list[Work]]:
        """Works of up to `batch_rows` rows (at least one) that somebody still waits for, and those that have waited too long."""
        now, rows, batch, late = time.monotonic(), 0, [], []
        with self._lock:
            while (work := self._queue.first()) and (not batch or rows + work.rows <= self._limits.batch_rows):
                self._queue.take()
                if work.expires < now:
                    late.append(work)
                    continue
                batch.append(work)
                rows += work.rows
        return batch, late

    def _settle(self, late: list[Work], outcomes: list[Outcome], seconds: float) -> None:
        for work, outcome in outcomes:
            if work.timing is not None:
                work.timing += work.came, work.begun, seconds
            _answer(work, outcome)
        for work in late:
            _answer(work, Refusal(503, "queue: waited too long; try again later", headers=RETRY))
        if outcomes:
            works = [work for work, _ in outcomes]
            self._row_seconds += NEWEST * (seconds / _rows(works) - self._row_seconds)
            self._observe(works, _rows(works), seconds)


def _rows(works: Sequence[Work]) -> int:
    return sum(work.rows for work in works)


def _answer(work: Work, outcome: list[Any] | Refusal) -> None:
    """Unless nobody waits for it any more."""
    if work.answer.done():
        return
    if isinstance(outcome, Refusal):
        work.answer.set_exception(outcome)
    else:
        work.answer.set_result(outcome)


def timed(predict: Predict, batch: list[Work]) -> tuple[list[Outcome], float]:
    """What `run` gives for those that somebody still waits for, and the seconds that it took."""
    started = time.monotonic()
    wanted = [work for work in batch if not work.answer.done()]
    for work in wanted:
        work.begun = started
    return run(predict, wanted) if wanted else [], time.monotonic() - started


def run(predict: Predict, batch: list[Work]) -> list[Outcome]:
    """Each work's predictions, or the Refusal of its own failure: one forward when nothing fails."""
    try:
        predictions = predict(_join([work.columns for work in batch]))
    except Exception as error:  # noqa: BLE001  whatever one request's rows provoke must not reach the others
        if len(batch) == 1:
            return [(batch[0], _blame(predict, batch[0], error))]
        half = len(batch) // 2
        return run(predict, batch[:half]) + run(predict, batch[half:])
    outcomes, at = [], 0
    for work in batch:
        outcomes.append((work, predictions[at : at + work.rows]))
        at += work.rows
    return outcomes


def _join(parts: list[Columns]) -> Columns:
    if len(parts) == 1:
        return parts[0]
    return {name: [value for part in parts for value in part[name]] for name in parts[0]}


def _blame(predict: Predict, work: Work, error: Exception) -> Refusal:
    """The refusal of one request whose rows fail, naming the first row that fails by itself."""
    for row in range(work.rows if work.rows > 1 else 0):
        try:
            predict({name: values[row : row + 1] for name, values in work.columns.items()})
        except Exception as found:  # noqa: BLE001  see run
            return _refusal(row, found)
    return _refusal(0, error) if work.rows == 1 else _refusal(None, error)


def _refusal(row: int | None, error: Exception) -> Refusal:
    if isinstance(error, ItemError):
        at = error.index if row is None else row
        return Refusal(422, f"item {at}: {error.message}", at, kind=NO_ANSWER)
    log.error("a forward failed at item %s: %r", row, error)
    where = "" if row is None else f"item {row}: "
    return Refusal(500, f"{where}the model failed on it; the service's log says more", row)
