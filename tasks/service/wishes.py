"""A completion request's body → what is wanted. What this service cannot do is refused by name, never passed over."""

from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from tasks.inference.generation import Wish
from tasks.service.items import lower, not_json
from tasks.service.limits import Limits
from tasks.service.refusals import Refusal
from tasks.transforms.items import Refused

if TYPE_CHECKING:  # tokenizers is loaded only where there is text
    from tasks.transforms.tokens import TokenInput

WANTED = 'wanted {"prompt": "text", "max_tokens": 64, …}'
NEUTRAL: dict[str, tuple[Any, ...]] = {  # what OpenAI's API has besides, and the values that ask for nothing
    "suffix": (None, ""),
    "logprobs": (None,),
    "best_of": (None, 1),
    "presence_penalty": (None, 0),
    "frequency_penalty": (None, 0),
    "logit_bias": (None, {}),
}


class StreamOptions(msgspec.Struct, forbid_unknown_fields=True):
    """Of a streamed answer."""

    include_usage: bool = False


class Order(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a completion request; defaults and bounds as in OpenAI's API."""

    prompt: str | list[str]
    model: str | None = None
    max_tokens: Annotated[int, msgspec.Meta(ge=1)] = 16
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] = 1.0
    top_p: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1.0
    n: Annotated[int, msgspec.Meta(ge=1)] = 1
    stop: str | list[str] | None = None
    seed: Annotated[int, msgspec.Meta(ge=0)] | None = None
    echo: bool = False
    stream: bool = False
    stream_options: StreamOptions | None = None
    user: str | None = None
    suffix: Any = None
    logprobs: Any = None
    best_of: Any = None
    presence_penalty: Any = None
    frequency_penalty: Any = None
    logit_bias: Any = None

    @property
    def prompts(self) -> list[str]:
        return [self.prompt] if isinstance(self.prompt, str) else self.prompt

    @property
    def wants_usage(self) -> bool:
        """Whether a streamed answer ends with its usage."""
        return self.stream_options is not None and self.stream_options.include_usage

    def wishes(self) -> list[Wish]:
        """One for each choice, the choices of a prompt side by side, each with a seed of its own."""
        stop = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())
        wanted: list[Wish] = []
        for prompt in self.prompts:
            for number in range(self.n):
                seed = None if self.seed is None else self.seed + number
                wanted.append(Wish(prompt, self.max_tokens, self.temperature, self.top_p, seed, stop))
        return wanted


_decoder = msgspec.json.Decoder(Order)


def decode_order(body: bytes, limits: Limits, model: str, tokens: "TokenInput") -> Order:
    """The order in `body`; Refusal 400 for what is not JSON, 404 for another model's name, 422 for what cannot be done."""
    try:
        order = _decoder.decode(body)
    except msgspec.ValidationError as error:
        raise Refusal(422, f"body: {lower(str(error))}; {WANTED}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refusal(400, f"body: found no valid JSON ({lower(str(error))}){not_json(body)}; {WANTED}") from None
    except RecursionError:
        raise Refusal(400, f"body: found JSON nested too deep; {WANTED}") from None
    if order.model not in (None, model):
        raise Refusal(404, f"model: found {order.model[:80]!r}, wanted {model!r}, which is what serves here")
    _check_bounds(order, limits)
    for index, prompt in enumerate(order.prompts):
        try:
            tokens.parse(prompt or " ")  # an empty prompt begins a text
        except Refused as error:
            raise Refusal(422, f"prompt {index}: {error}", index) from None
    return order


def _check_bounds(order: Order, limits: Limits) -> None:
    for name, neutral in NEUTRAL.items():
        if getattr(order, name) not in neutral:
            raise Refusal(
                422, f"{name}: found {getattr(order, name)!r:.80}, which this service cannot do; leave it out"
            )
    stops = 1 if isinstance(order.stop, str) else len(order.stop or ())
    length = max((len(prompt.encode(errors="replace")) for prompt in order.prompts), default=0)
    for name, found, most in (
        ("max_tokens", order.max_tokens, limits.completion_tokens),
        ("prompt", len(order.prompts), limits.choices),
        ("n × prompts", order.n * len(order.prompts), limits.choices),
        ("stop", stops, limits.stops),
        ("prompt bytes", length, limits.prompt_bytes),
    ):
        if found > most:
            raise Refusal(422, f"{name}: found {found}, wanted at most {most}; ask for less, or several times")
    if not order.prompts:
        raise Refusal(422, f"prompt: found an empty list, wanted 1 to {limits.choices} texts")
