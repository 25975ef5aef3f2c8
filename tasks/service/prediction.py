"""One request's items → their predictions: validated before they meet other requests, then batched with them."""

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request

from tasks.service.models import Served
from tasks.service.refusals import Refusal
from tasks.transforms.items import ItemError

T = TypeVar("T")


async def predict_items(model: Served, items: list[Any], request: Request) -> list[Any]:
    """A prediction for each item, in order; Refusal 422 names the first bad item."""
    if model.predictor.transforms.decodes_files(items):
        columns = await asyncio.to_thread(parse_items, model, items)
    else:
        columns = parse_items(model, items)
    answer = model.batcher.submit(columns, len(items))
    if not model.batcher.takes_long:
        return await answer
    return await unless_gone(answer, request)


def parse_items(model: Served, items: list[Any]) -> dict[str, list[Any]]:
    """The items as columns; Refusal 422 for the first bad one."""
    try:
        return model.predictor.parse(items)
    except ItemError as error:
        raise Refusal(422, str(error), error.index) from None
    except RecursionError:
        raise Refusal(422, "input_data: found an item nested too deep; /openapi.json shows one as wanted") from None


async def unless_gone(work: Awaitable[T], request: Request) -> T:
    """What the work gives, unless the client goes away: then it is stopped, as nobody waits for it."""
    answer, watch = asyncio.ensure_future(work), asyncio.ensure_future(request.receive())
    try:
        await asyncio.wait((answer, watch), return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            raise ClientDisconnect
        return answer.result()
    finally:
        answer.cancel()
        watch.cancel()
