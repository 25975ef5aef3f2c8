"""Fitted transforms as one object: parse items, make features, encode targets, decode outputs."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from storage.errors import CorruptArtifact
from tasks.transforms.cleaning import NO_CLEANING, Cleaning
from tasks.transforms.columns import RowRefused, Sifted, Values
from tasks.transforms.items import ItemError, Refused
from tasks.transforms.targets import BitsTarget, ClassTarget, NumberTarget, load_target

VERSION = 1


class Input(Protocol):
    """One kind of input: text, image, audio or table."""

    @property
    def dtype(self) -> str: ...
    @property
    def features_shape(self) -> tuple[int, ...]: ...
    @property
    def columns(self) -> tuple[str, ...]: ...
    def parse(self, item: object) -> tuple[Any, ...]: ...
    def features(self, columns: Mapping[str, Sequence[Any]]) -> np.ndarray: ...
    def item(self, row: Sequence[Any]) -> Any: ...
    def schema(self) -> dict[str, Any]: ...
    def sentence(self) -> str: ...


@dataclass(frozen=True)
class Transforms:
    """`kind`: table, text, image or audio; `task`: classification, regression or language_model. All of it was fitted on training rows."""

    kind: str
    task: str
    input: Input
    target: ClassTarget | NumberTarget | BitsTarget
    example: Any
    cleaning: Cleaning = NO_CLEANING

    @classmethod
    def load(cls, files: Mapping[str, bytes]) -> "Transforms":
        """From `transforms.json` (and `tokenizer.json` for text); CorruptArtifact when they cannot be read."""
        try:
            data = json.loads(files["transforms.json"])
            if data["version"] != VERSION:
                raise CorruptArtifact(
                    f"transforms.json: found version {data['version']}, wanted {VERSION}; fit them again"
                )
            kind = data["kind"]
            return cls(
                kind,
                data["task"],
                _input(kind, data["task"], data["input"], files),
                load_target(data["target"]),
                data["example"],
                Cleaning.load(data.get("cleaning", ())),  # what is written elsewhere than in `fit` may know of none
            )
        except (KeyError, TypeError, ValueError) as error:
            raise CorruptArtifact(
                f"transforms.json cannot be read ({type(error).__name__}: {error}); fit them again"
            ) from error

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, sorted; empty where there are none."""
        return self.target.classes

    @property
    def target_scale(self) -> tuple[float, float] | None:
        """(mean, deviation) that undo a number's standardisation; None where there is none."""
        return (self.target.mean, self.target.std) if isinstance(self.target, NumberTarget) else None

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one row of features: (C, H, W) of an image, (1, mels, frames) of a recording, (T,) or (F,)."""
        return self.input.features_shape

    @property
    def input_dtype(self) -> str:
        """float32, or int32 for text."""
        return self.input.dtype

    def parse(self, items: Sequence[object]) -> dict[str, list[Any]]:
        """A request's items as columns, cleaned as the training rows were; ItemError names the first bad item and its fault."""
        rows = []
        for index, item in enumerate(items):
            try:
                rows.append(self.input.parse(item))
            except Refused as error:
                raise ItemError(index, str(error)) from None
        return self.cleaning.items({name: [row[i] for row in rows] for i, name in enumerate(self.input.columns)})

    def sift(self, columns: Mapping[str, Values]) -> Sifted:
        """Many rows, given by column: those that `parse` would take, and why not the others, in the same words."""
        return self.cleaning.sifted(self._sift(columns))

    def _sift(self, columns: Mapping[str, Values]) -> Sifted:
        if self.kind == "table":
            return self.input.sift(columns)  # pyright: ignore[reportAttributeAccessIssue]
        (name,) = self.input.columns
        values, rows, parsed, refused = columns[name], [], [], []
        for row in range(len(values)):
            try:
                parsed.append(self.input.parse(values.at(row))[0])
                rows.append(row)
            except Refused as error:
                refused.append(RowRefused(row, str(error), error.rule))
        return Sifted(np.array(rows, np.intp), {name: parsed}, refused)

    def decodes_files(self, items: Sequence[object]) -> bool:
        """Whether parsing `items` means decoding images or recordings, which takes much longer than reading numbers."""
        return self.kind in ("image", "audio") and any(isinstance(item, (str, Mapping)) for item in items)

    def features(self, columns: Mapping[str, Any]) -> np.ndarray:
        """(B, *input_shape) of `input_dtype`; each row's values are the same whatever the batch."""
        return self.input.features(columns)

    def targets(self, values: Sequence[Any]) -> np.ndarray:
        """(B,) int64 class indices, or float32 standardised numbers; SchemaError for an unknown class."""
        return self.target.encode(values)

    def predictions(self, outputs: np.ndarray) -> list[Any]:
        """(B, K) probabilities → class names; (B, 1) standardised → numbers in the target's unit; (B, 1) bits per byte → numbers."""
        return self.target.decode(outputs)

    def items(self, columns: Mapping[str, Sequence[Any]]) -> list[Any]:
        """The items that a client would send for stored rows."""
        return [self.input.item(row) for row in zip(*(columns[name] for name in self.input.columns), strict=True)]

    def describe(self) -> dict[str, Any]:
        """What an item and a prediction look like: a sentence, JSON schemas, and an item from the training rows."""
        return {
            "kind": self.kind,
            "task": self.task,
            "target": self.target.name,
            "item": self.input.sentence(),
            "item_schema": self.input.schema(),
            "prediction_schema": self.target.schema(),
            "example": self.example,
        }


def _input(kind: str, task: str, data: Mapping[str, Any], files: Mapping[str, bytes]) -> Input:
    if task == "language_model":
        from tasks.transforms.tokens import TokenInput

        return TokenInput.load(data, files)
    if kind == "text":
        from tasks.transforms.texts import TextInput  # tokenizers is loaded only where there is text

        return TextInput.load(data, files)
    if kind == "image":
        from tasks.transforms.images import ImageInput

        return ImageInput.load(data, files)
    if kind == "audio":
        from tasks.transforms.audio import AudioInput

        return AudioInput.load(data, files)
    from tasks.transforms.tables import TableInput

    return TableInput.load(data, files)
