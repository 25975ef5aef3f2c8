"""A request that is not answered with a prediction, and the JSON that says why."""

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response


class Refusal(Exception):
    """`status` and `message` go to the client; `item` is the index of the item at fault, where it is one."""

    def __init__(
        self, status: int, message: str, item: int | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.item = item
        self.headers = headers


class JsonResponse(Response):
    """A JSON answer."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return orjson.dumps(content)


def error_response(
    status: int, message: str, item: int | None = None, headers: Mapping[str, str] | None = None
) -> JsonResponse:
    """`{"error": {"message"}}`, with `item` where one item is at fault."""
    error = {"message": message} if item is None else {"message": message, "item": item}
    return JsonResponse({"error": error}, status, headers)


async def refuse(request: Request, error: Exception) -> Response:
    """Starlette's handler for Refusal."""
    if not isinstance(error, Refusal):
        raise error
    return error_response(error.status, error.message, error.item, error.headers)
