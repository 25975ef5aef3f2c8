"""A tally of things that can go: how many of each kind, how many bytes, and the largest few."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

_SHOWN = 5


@dataclass
class Tally:
    """`kinds`: number and bytes by kind; `largest`: names and bytes."""

    kinds: dict[str, tuple[int, int]] = field(default_factory=dict)
    largest: list[tuple[str, int]] = field(default_factory=list)

    def count(self, kind: str, found: Iterable[tuple[str, int]]) -> None:
        """Take in all things of one kind: their names and sizes in bytes."""
        if things := list(found):
            self.kinds[kind] = len(things), sum(size for _, size in things)
            self.largest = sorted([*self.largest, *things], key=lambda one: (-one[1], one[0]))[:_SHOWN]

    def to_json(self) -> dict[str, Any]:
        """The tally as plain values."""
        return {
            "kinds": {kind: {"objects": number, "bytes": size} for kind, (number, size) in self.kinds.items()},
            "largest": [{"key": name, "bytes": size} for name, size in self.largest],
        }
