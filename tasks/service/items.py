"""JSON bodies → typed values; what does not fit is refused by name."""

from typing import Any, TypeVar

import msgspec

from tasks.service.limits import Limits
from tasks.service.refusals import Refusal

T = TypeVar("T")


class Items(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a prediction request; `model` where more than one is served."""

    input_data: list[Any]
    model: str = ""


_items = msgspec.json.Decoder(Items)


def decode_items(body: bytes, limits: Limits) -> Items:
    """`{"input_data": [...]}`; Refusal 400 for what is not JSON, 422 for another shape or number of items."""
    decoded = decode(_items, body, 'wanted {"input_data": [item, …]}')
    check_count("input_data", len(decoded.input_data), limits)
    return decoded


def decode(decoder: msgspec.json.Decoder[T], body: bytes, wanted: str) -> T:
    """What the decoder makes of `body`; Refusal 400 for what is not JSON, 422 for what is not `wanted`."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise Refusal(422, f"body: {lower(str(error))}; {wanted}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refusal(400, f"body: found no valid JSON ({lower(str(error))}){not_json(body)}; {wanted}") from None
    except RecursionError:
        raise Refusal(400, f"body: found JSON nested too deep; {wanted}") from None


def check_count(name: str, count: int, limits: Limits) -> None:
    """Refusal 422 for no items, or too many."""
    if not count:
        raise Refusal(422, f"{name}: found an empty list, wanted 1 to {limits.items} items")
    if count > limits.items:
        raise Refusal(422, f"{name}: found {count} items, wanted at most {limits.items}; send several requests")


def not_json(body: bytes) -> str:
    names = [name for name in (b"NaN", b"Infinity") if name in body]
    return f"; {names[0].decode()} is not JSON, a missing value is null" if names else ""


def lower(text: str) -> str:
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]
