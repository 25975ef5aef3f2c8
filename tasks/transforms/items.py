"""What is wrong with one item of a request, and the nearest right name for a mistyped one."""

import difflib
from collections.abc import Iterable

from storage.errors import PermanentError


class ItemError(PermanentError):
    """Item `index` of a request cannot be used; `message` says what was found and what is wanted."""

    def __init__(self, index: int, message: str) -> None:
        super().__init__(f"item {index}: {message}")
        self.index = index
        self.message = message

    def __reduce__(self) -> tuple[type, tuple[int, str]]:
        return type(self), (self.index, self.message)


class Refused(ValueError):
    """A value cannot be used; the message says why. `Transforms.parse` adds the item's index.

    `rule`: what is broken, in a word, by which a training row is counted in quarantine.
    """

    def __init__(self, message: str, rule: str = "value") -> None:
        super().__init__(message)
        self.rule = rule


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the nearest of `known`, or nothing when none is near."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""


def show(value: object, limit: int = 60) -> str:
    """`value` for a message, cut to `limit` characters."""
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
