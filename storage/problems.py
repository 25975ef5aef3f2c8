"""What is wrong with a stored object, in words."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """`key`: the object; `found` and `wanted`: the difference."""

    key: str
    found: str
    wanted: str

    def __str__(self) -> str:
        return f"{self.key}: found {self.found}, wanted {self.wanted}"
