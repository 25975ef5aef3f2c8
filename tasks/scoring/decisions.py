"""What was decided, as plain values: which candidate is judged, and the gate's verdict on it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Decision = Literal["promote", "hold", "reject"]


@dataclass(frozen=True)
class Choice:
    """`name`: the one to judge. `why`: for every candidate, why it was or was not taken."""

    name: str
    why: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"name": self.name, "why": dict(self.why)}


@dataclass(frozen=True)
class Verdict:
    """`bounds`: by reference (teacher, champion) the comparison's figures, as plain JSON values."""

    decision: Decision
    reasons: tuple[str, ...]
    bounds: Mapping[str, Mapping[str, Any]]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"decision": self.decision, "reasons": list(self.reasons), "bounds": dict(self.bounds)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Verdict":
        """The verdict that `to_json` gave."""
        return cls(data["decision"], tuple(data["reasons"]), data["bounds"])
