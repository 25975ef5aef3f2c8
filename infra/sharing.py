"""One cluster for all that a block does: opened when it is first needed, handed to whoever asks for it next, closed at the block's end.

Loads no Dask: a block in which nothing is to be done opens none.
"""

import contextvars
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

from storage.errors import WorkerLost

Open = Callable[[], AbstractContextManager[Any]]


class _Shared:
    """The clusters of a block: one of each description, as a rule one in all."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[Any, tuple[ExitStack, Any]] = {}

    def client(self, description: Any, opened: Open) -> Any:
        """The client of the cluster of that description, which `opened` opens where it is not open."""
        with self._lock:
            if description not in self._open:
                stack = ExitStack()
                self._open[description] = (stack, stack.enter_context(opened()))
            return self._open[description][1]

    def drop(self, description: Any, client: Any) -> None:
        """Close that cluster, unless somebody has opened another in its place."""
        with self._lock:
            stack, current = self._open.get(description, (None, None))
            if stack is None or current is not client:
                return
            del self._open[description]
        stack.close()

    def close(self) -> None:
        """Close what is open."""
        with ExitStack() as all_:
            for stack, _ in self._open.values():
                all_.enter_context(stack)
            self._open.clear()


_shared: contextvars.ContextVar[_Shared | None] = contextvars.ContextVar("shared_clusters", default=None)


@contextmanager
def one_cluster() -> Iterator[None]:
    """Whatever cluster is opened inside stays open for the next one who asks for it, until the end of the block."""
    shared = _Shared()
    token = _shared.set(shared)
    try:
        yield
    finally:
        _shared.reset(token)
        shared.close()


@contextmanager
def lent(description: Any, opened: Open) -> Iterator[Any]:
    """A client of the block's cluster of that description; outside such a block, of one that ends with this.

    Where work was lost the cluster is closed: who tries again gets a new one.
    """
    shared = _shared.get()
    if shared is None:
        with opened() as client:
            yield client
        return
    client = shared.client(description, opened)
    try:
        yield client
    except WorkerLost:
        shared.drop(description, client)
        raise
