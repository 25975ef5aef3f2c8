"""Work spread over a Dask cluster, each result taken as it comes; a lost cluster is one error of ours."""

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cache
from typing import Any, TypeVar

from distributed import Client, KilledWorker, as_completed
from distributed.client import FutureCancelledError
from distributed.comm.core import CommClosedError
from distributed.scheduler import NoWorkerError

from storage.errors import WorkerLost
from storage.metering import charge, measured
from tasks.frames.shelved import Spread, here

T = TypeVar("T")
LOST = (KilledWorker, FutureCancelledError, CommClosedError, NoWorkerError)


OpenClient = Callable[[], AbstractContextManager[Client]]


@contextmanager
def crew(open_client: OpenClient, is_little: Callable[[Sequence[Any]], bool]) -> Iterator[Spread]:
    """`spread` over a cluster that is opened when there is first something to do; what `is_little` is done here instead."""
    with ExitStack() as stack:
        client = cache(lambda: stack.enter_context(open_client()))

        def work(name: str, function: Callable[[Any], Any], batches: Sequence[Any]) -> Iterator[tuple[int, Any]]:
            if not batches:
                return iter(())
            if is_little(batches):
                return here(name, function, batches)
            return spread(client(), name, function, batches)

        yield work


def spread(client: Client, name: str, function: Callable[[Any], T], items: Sequence[Any]) -> Iterator[tuple[int, T]]:
    """(index, result) of `function` for each item, in the order of completion.

    A worker that dies has its work done again by another. WorkerLost when the same work kills several, or when the scheduler
    is gone; any other error is the function's own.
    """
    run = uuid.uuid4().hex
    keys = [
        f"{name}-{index}-{run}" for index in range(len(items))
    ]  # never the same twice: results are not shared between runs
    try:
        futures = client.map(measured(function), items, key=keys, pure=False)
        index_of = {future.key: index for index, future in enumerate(futures)}
        try:
            for future in as_completed(futures):
                result, cost = future.result()
                charge(cost)
                yield index_of[future.key], result
                future.release()
        finally:
            for future in futures:
                future.release()
    except LOST as error:
        reason = str(error).partition(". ")[0]  # what follows is advice about Dask's own logs
        raise WorkerLost(
            f"{name}: the Dask cluster lost the work ({type(error).__name__}: {reason}); if a worker's memory was too small, "
            "raise cluster.memory_gib or lower data.shard_rows"
        ) from error
