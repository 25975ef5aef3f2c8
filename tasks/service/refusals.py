"""A request that is not answered with a prediction, and the JSON that says why."""

from collections.abc import Mapping


class Refusal(Exception):
    """`status` and `message` go to the client; `item` is the index of the item at fault, where it is one; `kind` is counted."""

    def __init__(
        self,
        status: int,
        message: str,
        item: int | None = None,
        headers: Mapping[str, str] | None = None,
        kind: str = "",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.item = item
        self.headers = headers or {}
        self.kind = kind or KINDS.get(status, "bad_request")


class ClientGone(Exception):
    """Nobody is left to answer."""


KINDS = {
    401: "unauthorised",
    404: "not_found",
    405: "not_found",
    408: "slow",
    413: "too_large",
    415: "bad_encoding",
    422: "bad_item",
    429: "limited",
    431: "too_large",
    500: "failed",
    503: "overloaded",
    504: "deadline",
}
