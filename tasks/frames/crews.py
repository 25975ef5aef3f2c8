"""Who does the work of a step: this process, or a cluster that is opened when there is first enough of it. Dask is loaded only then."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cache
from typing import Any

from tasks.frames.shelved import Spread, here

OpenClient = Callable[[], AbstractContextManager[Any]]
"""Opens a Dask client."""


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
            from tasks.frames.gathering import spread

            return spread(client(), name, function, batches)

        yield work
