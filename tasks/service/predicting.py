"""One request's items → its rows' predictions: validated before they meet other requests, then batched with them, then noted."""

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

from tasks.service.exchange import Request
from tasks.service.models import Served
from tasks.service.notes import Notes
from tasks.service.refusals import ClientGone, Refusal
from tasks.service.routes import Route
from tasks.transforms.items import ItemError

T = TypeVar("T")
Row = tuple[Any, Any]  # a prediction, and its outputs (K,)


async def predict_items(notes: Notes, request: Request, route: Route, served: Served, items: list[Any]) -> list[Row]:
    """A row for each item, in order; Refusal 422 names the first bad item. What it came to is noted."""
    try:
        rows = await _compute(request, served, items)
    except Refusal as refusal:
        notes.refused(request, served, refusal)
        raise
    notes.answered(request, route, served, items, rows)
    return rows


async def _compute(request: Request, served: Served, items: list[Any]) -> list[Row]:
    served.batcher.room(len(items), request.key)
    if served.runtime.transforms.decodes_files(items):
        columns = await asyncio.to_thread(parse_items, served, items)
    else:
        columns = parse_items(served, items)
    answer = served.batcher.submit(columns, len(items), request.key, _deadline(request), request.timing)
    if not served.batcher.takes_long:
        return await answer
    return await unless_gone(answer, request)


def parse_items(served: Served, items: list[Any]) -> dict[str, list[Any]]:
    """The items as columns; Refusal 422 for the first bad one."""
    try:
        return served.runtime.parse(items)
    except ItemError as error:
        raise Refusal(422, str(error), error.index) from None
    except RecursionError:
        raise Refusal(422, "input_data: found an item nested too deep; /openapi.json shows one as wanted") from None


def _deadline(request: Request) -> float:
    """Seconds that the client waits, as it says in `X-Deadline-Ms`; 0 where it does not."""
    text = request.headers.get(b"x-deadline-ms")
    if text is None:
        return 0.0
    if not text.isdigit() or len(text) > 9 or not int(text):
        found = text[:20].decode("latin-1")
        raise Refusal(422, f"X-Deadline-Ms: found {found!r}, wanted a whole number of milliseconds above 0")
    return int(text) / 1000


async def unless_gone(work: Awaitable[T], request: Request) -> T:
    """What the work gives, unless the client goes away: then it is stopped, as nobody waits for it."""
    answer, connection = asyncio.ensure_future(work), request.connection
    connection.awaited = answer
    if connection.lost:
        answer.cancel()
    try:
        return await answer
    except asyncio.CancelledError:
        if connection.lost:
            raise ClientGone from None
        raise
    finally:
        connection.awaited = None
        answer.cancel()
