"""`flow`: Prefect's, fit for its users: foreseen failures end as a state with one message, and the form explains each parameter."""

import functools
import inspect
import logging
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, get_type_hints

import prefect
from prefect import Flow
from prefect.states import Failed
from pydantic.fields import FieldInfo

from storage.errors import MillraceError

LOGS = ("prefect.flow_runs", "prefect.task_runs", "prefect.engine")
P = ParamSpec("P")
R = TypeVar("R")


def flow(name: str) -> Callable[[Callable[P, R]], Flow[P, R]]:
    """Make a Prefect flow of a function. Who calls it from Python still gets the exception, not the failed state."""

    def decorate(function: Callable[P, R]) -> Flow[P, R]:
        @functools.wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return function(*args, **kwargs)
            except MillraceError as error:
                failed: Any = Failed(message=f"{type(error).__name__}: {error}", data=error)
                return failed

        promise = inspect.getdoc(function) or ""
        run.__doc__ = f"{promise}\n\nArgs:\n{_described(function)}"  # the only place where Prefect's form looks
        return prefect.flow(name=name, description=promise)(run)

    return decorate


def _described(function: Callable[..., Any]) -> str:
    """The parameters that have a description, one a line."""
    hints = get_type_hints(function, include_extras=True)
    fields = {name: field for name, hint in hints.items() for field in getattr(hint, "__metadata__", ())}
    return "\n".join(f"    {name}: {f.description}" for name, f in fields.items() if isinstance(f, FieldInfo))


def without_traceback(record: logging.LogRecord) -> bool:
    """A filter for Prefect's own logs: a failure that was foreseen is told by its message, which says all there is to know."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, MillraceError):
        record.msg, record.args, record.exc_info = f"{type(error).__name__}: {error}", (), None
    return True


for log in LOGS:
    logging.getLogger(log).addFilter(without_traceback)
