"""What is wanted of a language model."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Wish:
    """What is wanted. `temperature` 0: always the most probable token. `seed` None: another text each time."""

    prompt: str
    max_tokens: int = 16
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
