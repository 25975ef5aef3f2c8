"""The micro-batcher: takes what waits as soon as the model is idle, gathers while it is busy. There is no timer.

A short forward runs on the event loop, a longer one in a thread. A batch that fails is halved until the rows at fault are
alone, so that nobody else's answer suffers. Requests that were cancelled or waited too long are dropped before the forward.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from tasks.service.limits import Limits
from tasks.service.refusals import Refusal
from tasks.transforms.items import ItemError

Columns = Mapping[str, Sequence[Any]]
Predict = Callable[[Columns], list[Any]]
ON_LOOP_SECONDS = 0.001  # a hop to a thread and back costs about 0.1 ms
RETRY = {"retry-after": "1"}
log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Work:
    """One request's rows and the answer it waits for."""

    columns: Columns
    rows: int
    expires: float
    answer: asyncio.Future[list[Any]]


@dataclass(frozen=True)
class Cost:
    """Seconds of a forward, as measured when the model was warmed: `fixed` + rows × `row`."""

    fixed: float
    row: float

    def on_loop(self, rows: int) -> bool:
        """Whether a forward of `rows` rows may hold up the event loop."""
        return self.fixed + rows * self.row < ON_LOOP_SECONDS


class Batcher:
    """Batches for one loaded model, on the event loop that is running. `observe` is told the rows of each batch."""

    def __init__(
        self, predict: Predict, cost: Cost, executor: Executor, limits: Limits, observe: Callable[[int], None]
    ) -> None:
        self._predict, self._cost, self._executor = predict, cost, executor
        self._limits, self._observe = limits, observe
        self._queue: deque[Work] = deque()
        self._busy = self._in_thread = False
        self.queued_rows = 0

    def submit(self, columns: Columns, rows: int) -> asyncio.Future[list[Any]]:
        """The future predictions of `rows` rows that `parse` has accepted; Refusal 503 when too much waits."""
        if self._queue and self.queued_rows + rows > self._limits.queue_rows:
            raise Refusal(503, f"queue: found {self.queued_rows} rows waiting; try again later", headers=RETRY)
        loop = asyncio.get_running_loop()
        work = Work(columns, rows, loop.time() + self._limits.queue_seconds, loop.create_future())
        self._queue.append(work)
        self.queued_rows += rows
        if not self._busy:
            self._busy = True
            loop.call_soon(self._next)  # after the other requests that this turn of the loop has read
        return work.answer

    @property
    def takes_long(self) -> bool:
        """Whether what waits now takes so long that a client may go away meanwhile."""
        return self._in_thread or not self._cost.on_loop(min(self.queued_rows, self._limits.batch_rows))

    def _next(self) -> None:
        batch = self._gather()
        if not batch:
            self._busy = False
            return
        rows = sum(work.rows for work in batch)
        self._observe(rows)
        loop = asyncio.get_running_loop()
        if self._cost.on_loop(rows):
            self._settle(run(self._predict, batch))
            loop.call_soon(self._next)
        else:
            self._in_thread = True
            loop.run_in_executor(self._executor, run, self._predict, batch).add_done_callback(self._finished)

    def _finished(self, future: "asyncio.Future[list[Outcome]]") -> None:
        self._in_thread = False
        self._settle(future.result())
        self._next()

    def _gather(self) -> list[Work]:
        """Works of up to `batch_rows` rows (at least one) that somebody still waits for."""
        now, rows, batch = asyncio.get_running_loop().time(), 0, []
        while self._queue and (not batch or rows + self._queue[0].rows <= self._limits.batch_rows):
            work = self._queue.popleft()
            self.queued_rows -= work.rows
            if work.answer.done():
                continue
            if work.expires < now:
                work.answer.set_exception(Refusal(503, "queue: waited too long; try again later", headers=RETRY))
                continue
            batch.append(work)
            rows += work.rows
        return batch

    def _settle(self, outcomes: "Iterable[Outcome]") -> None:
        for work, outcome in outcomes:
            if work.answer.done():
                continue
            if isinstance(outcome, Refusal):
                work.answer.set_exception(outcome)
            else:
                work.answer.set_result(outcome)


Outcome = tuple[Work, "list[Any] | Refusal"]


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
        return Refusal(422, f"item {at}: {error.message}", at)
    log.error("a forward failed at item %s: %r", row, error)
    where = "" if row is None else f"item {row}: "
    return Refusal(500, f"{where}the model failed on it; the service's log says more", row)
