"""By what rules a canary is promoted or rolled back: what `millrace canary` writes into the registry, and the service goes by."""

import dataclasses
import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from storage.errors import ConfigError

FEEDBACK = ("if given", "required", "ignored")


@dataclass(frozen=True)
class Policy:
    """`automatic`: whether the service acts on the verdict, or only shows it. `minimum_requests`: of the canary, before it is promoted.

    The margins are differences of shares (0.01: one more of a hundred): a canary that is worse by less is as good. `slower`: a batch is slow
    that takes so many times as long as the champion's usually do. `alpha`: the probability of rolling back an equal canary, or of
    promoting one that is worse than a margin, over the whole trial; the three comparisons share it evenly. `feedback`: whether
    what is known of wrong answers counts: `if given` (as soon as any came), `required` (nothing is promoted without), `ignored`.
    `maximum_hours`: after so long an undecided canary is withdrawn; 0: never.
    """

    automatic: bool = True
    minimum_requests: int = 200
    error_margin: float = 0.01
    slower: float = 2.0
    slow_margin: float = 0.2
    wrong_margin: float = 0.03
    alpha: float = 0.01
    feedback: str = "if given"
    maximum_hours: float = 0.0

    def __post_init__(self) -> None:
        for name, (fits, wanted) in _WANTED.items():
            value = getattr(self, name)
            if not fits(value):
                raise ConfigError(f"canary policy, {name}: found {value!r}, wanted {wanted}")

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Policy":
        """The policy that `to_json` gave, with defaults for what is missing. ConfigError names the field, what was found and wanted."""
        for name in data:
            if name not in _WANTED:
                near = difflib.get_close_matches(name, _WANTED, n=1) or list(_WANTED)
                raise ConfigError(f"canary policy: found {name!r}, wanted {' or '.join(near)}")
        return cls(**data)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _between(value: Any) -> bool:
    return _number(value) and 0 < value < 1


_SHARE = (_between, "a share above 0 and below 1")
_WANTED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "automatic": (lambda value: isinstance(value, bool), "true or false"),
    "minimum_requests": (lambda value: type(value) is int and value >= 1, "a whole number from 1 on"),
    "error_margin": _SHARE,
    "slower": (lambda value: _number(value) and 1 < value < float("inf"), "a number above 1"),
    "slow_margin": _SHARE,
    "wrong_margin": _SHARE,
    "alpha": (lambda value: _number(value) and 0 < value <= 0.5, "a probability above 0, at most 0.5"),
    "feedback": (lambda value: value in FEEDBACK, " or ".join(repr(one) for one in FEEDBACK)),
    "maximum_hours": (lambda value: _number(value) and 0 <= value < float("inf"), "a number of hours, or 0 for no end"),
}
