"""Parts done here, one after the other, until what the first ones took says that a cluster is worth its start."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from tasks.frames.shelved import Item, Spread

if TYPE_CHECKING:  # Dask is loaded only where a cluster is opened
    from tasks.frames.crews import OpenClient

WORTH_SECONDS = 15.0  # of a processor, that are left: to start a cluster on this machine takes several
TRIED = 2  # so many are done here in any case: the first one loads what the others find loaded


@contextmanager
def crew(open_client: "OpenClient", alone: bool) -> Iterator[Spread]:
    """`spread` over a cluster that is opened when it is worth it; with `alone` false, at the first thing to do."""
    with ExitStack() as stack:
        client = cache(lambda: stack.enter_context(open_client()))

        def work(name: str, function: Callable[[Any], Any], batches: Sequence[Any]) -> Iterator[tuple[int, Any]]:
            done = 0
            if alone:
                for index, result in _here(function, batches):
                    done = index + 1
                    yield index, result
            if done < len(batches):
                from tasks.frames.gathering import spread

                for index, result in spread(client(), name, function, batches[done:]):
                    yield done + index, result

        yield work


def _here(function: Callable[[Any], Any], batches: Sequence[Sequence[Item]]) -> Iterator[tuple[int, Any]]:
    """(index, result) of the first ones, to the end if that is near enough by the quickest of them."""
    weights = [sum(item.weight for item in batch) for batch in batches]
    rate = float("inf")  # processor seconds for one of weight: on a busy machine a cluster is no quicker
    for index, batch in enumerate(batches):
        left = sum(weights[index:])
        if index >= TRIED and rate * left > WORTH_SECONDS:
            return
        started = time.process_time()
        result = function(batch)
        rate = min(rate, (time.process_time() - started) / max(1, weights[index]))
        yield index, result
