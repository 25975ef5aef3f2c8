"""Work spread over a Dask cluster, each result taken as it comes; a lost cluster is one error of ours."""

import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from distributed import Client, Future, KilledWorker, as_completed
from distributed.client import FutureCancelledError
from distributed.comm.core import CommClosedError
from distributed.scheduler import NoWorkerError

from storage.errors import WorkerLost
from storage.metering import charge, measured

T = TypeVar("T")
LOST = (KilledWorker, FutureCancelledError, CommClosedError, NoWorkerError)


def spread(
    client: Client, name: str, function: Callable[[Any], Sequence[T]], batches: Sequence[Sequence[Any]]
) -> Iterator[tuple[int, list[T]]]:
    """(index, results) of `function` for each batch, in the order of completion.

    A worker that dies has its work done again by another. Of a batch that was at hand when several died each item is then done by itself:
    those that are innocent go through. WorkerLost when a single item goes on to kill workers, or when the scheduler is gone; any other
    error is the function's own.
    """
    run = _Spread(client, name, measured(function), batches)
    try:
        yield from run.results()
    except LOST as error:
        raise WorkerLost(run.told(error)) from error
    finally:
        run.release()


class _Spread:
    """Batches on their way. `_places`: of each task its batch, and which items of that."""

    def __init__(self, client: Client, name: str, work: Callable[[Any], Any], batches: Sequence[Sequence[Any]]) -> None:
        self._client, self._name, self._work, self._batches = client, name, work, batches
        self._places: dict[Any, tuple[int, range]] = {}
        self._made: list[dict[int, Any]] = [{} for _ in batches]
        self._futures: dict[Any, Future] = {}

    def results(self) -> Iterator[tuple[int, list[Any]]]:
        coming = as_completed(self._send([(i, range(len(batch))) for i, batch in enumerate(self._batches)]))
        for future in coming:
            index, part = self._places[future.key]
            try:
                results, cost = future.result()
            except KilledWorker:
                if len(part) == 1:
                    raise
                coming.update(self._send([(index, range(i, i + 1)) for i in part]))
                continue
            finally:
                self._futures.pop(future.key).release()
            charge(cost)
            self._made[index] |= zip(part, results, strict=True)
            if len(self._made[index]) == len(self._batches[index]):
                yield index, [self._made[index].pop(i) for i in range(len(self._batches[index]))]

    def release(self) -> None:
        """Nobody waits any more for what is not done yet."""
        for future in self._futures.values():
            future.release()

    def told(self, error: BaseException) -> str:
        """What was lost, in words."""
        reason = str(error).partition(". ")[0]  # what follows is advice about Dask's own logs
        index, part = self._places.get(getattr(error, "task", None), (0, range(0)))
        entries = getattr(self._batches[index][part[0]], "entries", ()) if part else ()
        whose = f" at {entries[0].name}" if entries else ""
        return (
            f"{self._name}: the Dask cluster lost the work{whose} ({type(error).__name__}: {reason}); if a worker's memory was too "
            "small, raise cluster.memory_gib or lower data.shard_rows"
        )

    def _send(self, places: Sequence[tuple[int, range]]) -> list[Future]:
        """Tasks for parts of batches. Their names are never the same twice: results are not shared between runs."""
        run = uuid.uuid4().hex
        parts = [self._batches[index][part.start : part.stop] for index, part in places]
        keys = [f"{self._name}-{i}-{run}" for i in range(len(parts))]
        futures = self._client.map(self._work, parts, key=keys, pure=False)
        self._places |= zip(keys, places, strict=True)
        self._futures |= zip(keys, futures, strict=True)
        return futures
