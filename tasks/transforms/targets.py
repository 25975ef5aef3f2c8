"""What is predicted: class names ↔ indices, numbers ↔ standardised numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from storage.errors import SchemaError
from tasks.transforms.items import did_you_mean, show

BITS_PER_BYTE = "bits_per_byte"


@dataclass(frozen=True)
class ClassTarget:
    """`classes`: the class names, sorted; a class's index is its place there."""

    name: str
    classes: tuple[str, ...]

    def encode(self, values: Sequence[Any]) -> np.ndarray:
        """(B,) int64 class indices; SchemaError for a class that the training rows do not have."""
        index = {name: i for i, name in enumerate(self.classes)}
        try:
            return np.array([index[value] for value in values], dtype=np.int64)
        except KeyError as error:
            raise SchemaError(
                f"target {self.name!r}: class {error.args[0]!r} is not among the {len(self.classes)} classes of the training "
                f"rows ({show(self.classes)}); give more training rows, or merge classes with data.target_names"
                f"{did_you_mean(str(error.args[0]), self.classes)}"
            ) from None

    def decode(self, outputs: np.ndarray) -> list[str]:
        """(B, K) scores → class names of the greatest."""
        return [self.classes[i] for i in np.asarray(outputs).argmax(axis=1)]

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "enum": list(self.classes)}


@dataclass(frozen=True)
class NumberTarget:
    """A number in its own unit, standardised by the training rows' `mean` and `std` for the model."""

    name: str
    mean: float
    std: float
    classes: tuple[str, ...] = ()

    def encode(self, values: Sequence[Any]) -> np.ndarray:
        """(B,) float32 standardised numbers."""
        numbers = np.asarray(values, dtype=np.float64)
        return ((numbers - self.mean) / self.std).astype(np.float32)

    def decode(self, outputs: np.ndarray) -> list[float]:
        """(B, 1) standardised → numbers in the target's unit."""
        numbers = np.asarray(outputs, dtype=np.float64).reshape(-1)
        return [float(value) for value in numbers * self.std + self.mean]

    def schema(self) -> dict[str, Any]:
        return {"type": "number"}


@dataclass(frozen=True)
class BitsTarget:
    """What a language model says of a text: the bits that it needs for each byte of it."""

    name: str
    classes: tuple[str, ...] = ()

    def encode(self, values: Sequence[Any]) -> np.ndarray:
        """SchemaError: the targets of a language model are the tokens of its texts."""
        raise SchemaError(f"target {self.name!r}: found {len(values)} values, wanted none: a text is its own target")

    def decode(self, outputs: np.ndarray) -> list[float]:
        """(B, 1) bits per byte → numbers."""
        return [float(value) for value in np.asarray(outputs, dtype=np.float64).reshape(-1)]

    def schema(self) -> dict[str, Any]:
        return {"type": "number", "minimum": 0}


def load_target(data: Mapping[str, Any]) -> ClassTarget | NumberTarget | BitsTarget:
    """The target that `transforms.json` describes."""
    if "classes" in data:
        return ClassTarget(data["name"], tuple(data["classes"]))
    return NumberTarget(data["name"], data["mean"], data["std"]) if "mean" in data else BitsTarget(data["name"])
