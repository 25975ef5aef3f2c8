"""What a target column asks for: classes or numbers, how they are spread, and what answering always the same would get."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from storage.errors import SchemaError
from tasks.frames.cells import as_texts, typed
from tasks.frames.traits import MISSING, Trait

NUMERIC = ("integer", "number")
FEW_NUMBERS = 20  # so many different whole numbers, or fewer, are taken for classes
FEW_FRACTIONS = 2  # and so many different numbers with a fraction
MOST_CLASSES = 1000
RARE = 8  # a class of fewer rows may have none to learn from, once they are split


@dataclass(frozen=True)
class Answers:
    """`counts`: rows by class (classification). `mean`, `deviation`: of a regression's target. `unanswered`: share of rows without one.

    `either`: the values would do for the other task too.
    """

    name: str
    task: str
    rows: int
    unanswered: float = 0.0
    counts: Mapping[str, int] | None = None
    mean: float = 0.0
    deviation: float = 0.0
    either: bool = False

    @property
    def classes(self) -> dict[str, int]:
        """Rows by class, the most frequent first, without the rare ones."""
        counts = Counter(self.counts or {})
        return {name: rows for name, rows in counts.most_common() if rows >= RARE or len(counts) <= 2}

    @property
    def rare(self) -> tuple[str, ...]:
        """Classes with too few rows."""
        return tuple(name for name in self.counts or {} if name not in self.classes)

    @property
    def rare_share(self) -> float:
        """Share of the rows that rare classes have."""
        return sum((self.counts or {})[name] for name in self.rare) / max(1, self.rows)

    @property
    def most_frequent(self) -> tuple[str, float]:
        """The most frequent class, and its share of the rows that are learned from."""
        name, rows = next(iter(self.classes.items()))
        return name, rows / sum(self.classes.values())


def read_answers(values: pa.ChunkedArray, trait: Trait, task: str, whole: bool) -> Answers:
    """The target of a sample. `task`: what the user wants it to be, or empty. SchemaError where nothing can be learned from it.

    `whole`: the sample is all there is, so what it lacks is not there.
    """
    known = trait.rows - trait.missing
    called = f"target {trait.name!r}"
    if known == 0:
        raise SchemaError(
            f"{called}: found no value in {trait.rows} rows, wanted some to learn from; name another --target"
        )
    task = task or _task(trait)
    if task == "regression":
        return _numbers(values, trait, called)
    if trait.distinct > MOST_CLASSES or (trait.distinct > known / 2 and known > RARE):
        raise SchemaError(
            f"{called}: found {trait.distinct} different values in {known} rows, wanted classes that repeat, or numbers; "
            "name another --target"
        )
    counts = Counter(as_texts(values, MISSING).drop_null().to_pylist())
    if whole:
        check_classes(called, counts)
    either = trait.type in NUMERIC and trait.distinct > 2
    return Answers(trait.name, task, known, trait.missing / trait.rows, dict(counts.most_common()), either=either)


def check_classes(called: str, counts: Mapping[str, int]) -> None:
    """SchemaError unless there are two classes with rows enough to learn from."""
    usable = Answers(called, "classification", sum(counts.values()), counts=counts).classes
    if len(counts) < 2:
        raise SchemaError(
            f"{called}: found only the class {next(iter(counts))!r}, wanted two or more; give other rows too"
        )
    if len(usable) < 2:
        raise SchemaError(
            f"{called}: found {len(counts)} classes of fewer than {RARE} rows each, wanted two with more; give more rows"
        )


def _task(trait: Trait) -> str:
    """Numbers are to be met as near as can be where they are many; few different ones are classes."""
    few = FEW_NUMBERS if trait.type == "integer" else FEW_FRACTIONS
    return "regression" if trait.type in NUMERIC and trait.distinct > few else "classification"


def _numbers(values: pa.ChunkedArray, trait: Trait, called: str) -> Answers:
    if trait.type not in NUMERIC:
        raise SchemaError(
            f"{called}: found values of type {trait.type}, wanted numbers for regression; name another --target"
        )
    numbers = typed(values, "number", (*MISSING, *trait.words))[0].drop_null().to_numpy()
    deviation = float(np.std(numbers))
    if not deviation or not math.isfinite(deviation):
        raise SchemaError(
            f"{called}: found the same number {numbers[0]:g} in all rows, wanted different ones; name another --target"
        )
    missing = 1 - len(numbers) / trait.rows
    either = trait.distinct <= min(MOST_CLASSES, len(numbers) / 2)
    mean = float(np.mean(numbers))
    return Answers(trait.name, "regression", len(numbers), missing, mean=mean, deviation=deviation, either=either)
