"""A request's body → its items."""

from typing import Any

import msgspec

from tasks.service.limits import Limits
from tasks.service.refusals import Refusal

WANTED = 'wanted {"input_data": [item, …]}'


class Items(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a prediction request."""

    input_data: list[Any]


_decoder = msgspec.json.Decoder(Items)


def decode_items(body: bytes, limits: Limits) -> list[Any]:
    """The items of `{"input_data": [...]}`; Refusal 400 for what is not JSON, 422 for another shape or number of items."""
    try:
        items = _decoder.decode(body).input_data
    except msgspec.ValidationError as error:
        raise Refusal(422, f"body: {lower(str(error))}; {WANTED}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refusal(400, f"body: found no valid JSON ({lower(str(error))}){not_json(body)}; {WANTED}") from None
    except RecursionError:
        raise Refusal(400, f"body: found JSON nested too deep; {WANTED}") from None
    if not items:
        raise Refusal(422, f"input_data: found an empty list, wanted 1 to {limits.items} items")
    if len(items) > limits.items:
        raise Refusal(
            422, f"input_data: found {len(items)} items, wanted at most {limits.items}; send several requests"
        )
    return items


def not_json(body: bytes) -> str:
    names = [name for name in (b"NaN", b"Infinity") if name in body]
    return f"; {names[0].decode()} is not JSON, a missing value is null" if names else ""


def lower(text: str) -> str:
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]
