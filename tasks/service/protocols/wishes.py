"""What a request for text wants, in the form of OpenAI's API. What this service cannot do is refused by name, never passed over.

https://platform.openai.com/docs/api-reference/completions, https://platform.openai.com/docs/api-reference/chat
"""

from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from tasks.inference.wishes import Wish
from tasks.service.limits import Limits
from tasks.service.refusals import Refusal
from tasks.transforms.items import Refused

if TYPE_CHECKING:  # tokenizers is loaded only where there is text
    from tasks.transforms.tokens import TokenInput

COMPLETION = 'wanted {"prompt": "text", "max_tokens": 64, …}'
CHAT = 'wanted {"messages": [{"role": "user", "content": "text"}], …}'
# What OpenAI's API has besides, and the values that ask for nothing
NEUTRAL: dict[str, tuple[Any, ...]] = {
    "suffix": (None, ""),
    "logprobs": (None, False),
    "top_logprobs": (None, 0),
    "best_of": (None, 1),
    "presence_penalty": (None, 0),
    "frequency_penalty": (None, 0),
    "logit_bias": (None, {}),
    "tools": (None, []),
    "tool_choice": (None, "none", "auto"),
    "response_format": (None, {"type": "text"}),
    "functions": (None, []),
    "function_call": (None, "none", "auto"),
    "modalities": (None, ["text"]),
    "audio": (None,),
    "prediction": (None,),
    "web_search_options": (None,),
    "reasoning_effort": (None, "none"),
}


class StreamOptions(msgspec.Struct, forbid_unknown_fields=True):
    """Of a streamed answer."""

    include_usage: bool = False
    include_obfuscation: bool = False


class Wanted(msgspec.Struct, kw_only=True):
    """What both kinds of request may say; defaults and bounds as in OpenAI's API."""

    model: str = ""
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None
    n: Annotated[int, msgspec.Meta(ge=1)] | None = None
    stop: str | list[str] | None = None
    seed: Annotated[int, msgspec.Meta(ge=0)] | None = None
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    user: str | None = None
    store: bool | None = None
    metadata: dict[str, str] | None = None
    service_tier: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    logprobs: Any = None
    presence_penalty: Any = None
    frequency_penalty: Any = None
    logit_bias: Any = None

    @property
    def wants_usage(self) -> bool:
        """Whether a streamed answer ends with its usage."""
        return self.stream_options is not None and self.stream_options.include_usage

    @property
    def prompts(self) -> list[str]:
        raise NotImplementedError

    @property
    def most_tokens(self) -> int:
        raise NotImplementedError

    def wishes(self) -> list[Wish]:
        """One for each choice, the choices of a prompt side by side, each with a seed of its own."""
        stop = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())
        temperature = 1.0 if self.temperature is None else self.temperature
        top_p = 1.0 if self.top_p is None else self.top_p
        wanted: list[Wish] = []
        for prompt in self.prompts:
            for number in range(self.n or 1):
                seed = None if self.seed is None else self.seed + number
                wanted.append(Wish(prompt, self.most_tokens, temperature, top_p, seed, stop))
        return wanted


class Completion(Wanted, forbid_unknown_fields=True, kw_only=True):
    """The body of a completion request."""

    prompt: str | list[str]
    max_tokens: Annotated[int, msgspec.Meta(ge=1)] | None = None
    echo: bool | None = False
    suffix: Any = None
    best_of: Any = None

    @property
    def prompts(self) -> list[str]:
        return [self.prompt] if isinstance(self.prompt, str) else self.prompt

    @property
    def most_tokens(self) -> int:
        return self.max_tokens or 16


class Part(msgspec.Struct):
    """A part of a message; only texts can be read."""

    type: str
    text: str = ""


class Message(msgspec.Struct):
    """One turn of a conversation."""

    role: str
    content: str | list[Part]
    name: str | None = None

    @property
    def text(self) -> str:
        return self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)


class Chat(Wanted, forbid_unknown_fields=True, kw_only=True):
    """The body of a chat request."""

    messages: list[Message]
    max_tokens: Annotated[int, msgspec.Meta(ge=1)] | None = None
    max_completion_tokens: Annotated[int, msgspec.Meta(ge=1)] | None = None
    top_logprobs: Any = None
    tools: Any = None
    tool_choice: Any = None
    parallel_tool_calls: bool | None = None
    response_format: Any = None
    functions: Any = None
    function_call: Any = None
    modalities: Any = None
    audio: Any = None
    prediction: Any = None
    web_search_options: Any = None
    reasoning_effort: Any = None
    verbosity: str | None = None

    @property
    def prompts(self) -> list[str]:
        """The conversation as a text to be gone on with: each turn a paragraph that names who speaks."""
        turns = [f"{message.role}: {message.text.strip()}" for message in self.messages]
        return ["\n\n".join([*turns, "assistant:"])]

    @property
    def most_tokens(self) -> int:
        return self.max_completion_tokens or self.max_tokens or 64


def check(order: Wanted, limits: Limits, tokens: "TokenInput") -> None:
    """Refusal 422 for what cannot be done, and for more than the limits."""
    for name, neutral in NEUTRAL.items():
        if getattr(order, name, None) not in neutral:
            raise Refusal(
                422, f"{name}: found {getattr(order, name)!r:.80}, which this service cannot do; leave it out"
            )
    if isinstance(order, Chat):
        _check_messages(order)
    prompts = order.prompts
    if not prompts:
        raise Refusal(422, f"prompt: found an empty list, wanted 1 to {limits.choices} texts")
    stops = 1 if isinstance(order.stop, str) else len(order.stop or ())
    length = max(len(prompt.encode(errors="replace")) for prompt in prompts)
    for name, found, most in (
        ("max_tokens", order.most_tokens, limits.completion_tokens),
        ("prompt", len(prompts), limits.choices),
        ("n × prompts", (order.n or 1) * len(prompts), limits.choices),
        ("stop", stops, limits.stops),
        ("prompt bytes", length, limits.prompt_bytes),
    ):
        if found > most:
            raise Refusal(422, f"{name}: found {found}, wanted at most {most}; ask for less, or several times")
    for index, prompt in enumerate(prompts):
        try:
            tokens.parse(prompt or " ")  # an empty prompt begins a text
        except Refused as error:
            raise Refusal(422, f"prompt {index}: {error}", index) from None


def _check_messages(order: Chat) -> None:
    if not order.messages:
        raise Refusal(422, f"messages: found an empty list; {CHAT}")
    for index, message in enumerate(order.messages):
        parts = message.content if isinstance(message.content, list) else []
        if any(part.type not in ("text", "input_text", "refusal") for part in parts):
            raise Refusal(422, f"message {index}: found a part that is no text, which this model cannot read", index)
        if message.role not in ("system", "developer", "user", "assistant"):
            raise Refusal(
                422,
                f"message {index}: found the role {message.role[:40]!r}, wanted system, developer, user or assistant",
                index,
            )
