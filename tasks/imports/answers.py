"""What a model's outputs mean: the task, the classes, logits or probabilities. Guessed from the answers, said by the user, or by the model.

N rows, K outputs.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from storage.errors import ConfigError, SchemaError
from tasks.graphs.adapting import Ending
from tasks.imports.originals import Original
from tasks.imports.tables import Rows

CLASSIFICATION, REGRESSION = "classification", "regression"
LOGITS, PROBABILITIES, VALUE = "logits", "probabilities", "value"
SUM_TOLERANCE = 1e-3
EDGE = 1e-6


@dataclass(frozen=True)
class Said:
    """What the user said of the answers; empty where they left it to a look."""

    task: str = ""
    classes: tuple[str, ...] = ()
    outputs: str = ""
    target: str = ""


@dataclass(frozen=True)
class Answers:
    """`meaning`: logits, probabilities or value. `classes`: sorted, as everywhere here; `outputs`: (N, len(classes)) probabilities in
    that order, or (N, 1) values divided by `unit`. `ending`: what makes the same of the graph's own output. `why`: how each was told."""

    task: str
    meaning: str
    classes: tuple[str, ...]
    unit: float
    outputs: np.ndarray
    ending: Ending
    why: dict[str, str]


def understand(original: Original, said: Said, rows: Rows) -> Answers:
    """What the answers mean; ConfigError where what was said, or what the model gives, cannot be."""
    if not np.isfinite(original.outputs).all():
        row = int(np.flatnonzero(~np.isfinite(original.outputs).all(axis=1))[0])
        raise ConfigError(
            f"the model: gives NaN or an infinite value for row {row + 1} of the sample, wanted finite numbers; look at that row"
        )
    task, why_task = _task(original, said, rows)
    if task == REGRESSION:
        return _values(original, why_task)
    raw_NK, second = original.outputs, ""
    meaning, why_meaning = _meaning(original, said)
    if raw_NK.shape[1] == 1:
        second = meaning
        raw_NK = np.concatenate([1 - raw_NK if meaning == PROBABILITIES else np.zeros_like(raw_NK), raw_NK], axis=1)
    names, why_classes = _classes(original, said, rows, raw_NK)
    order = sorted(range(len(names)), key=lambda place: names[place])
    shares_NK = (_softmax(raw_NK) if meaning == LOGITS else raw_NK)[:, order]
    ordered = tuple(order) if order != list(range(len(names))) else ()
    ending = Ending(original.output, original.outputs.shape[1], second, ordered)
    why = {"task": why_task, "outputs": why_meaning, "classes": why_classes}
    return Answers(task, meaning, tuple(names[place] for place in order), 1.0, shares_NK, ending, why)


def _task(original: Original, said: Said, rows: Rows) -> tuple[str, str]:
    width = original.outputs.shape[1]
    if original.task and said.task not in ("", original.task):
        raise ConfigError(f"--task: found {said.task}, the model says that it does {original.task}")
    if said.task == REGRESSION and width > 1:
        raise ConfigError(
            f"--task regression: the model gives {width} numbers a row, wanted one; several targets at once are not served"
        )
    if said.task or original.task:
        return said.task or original.task, "as you said" if said.task else "the model says so"
    if width > 1 or original.labels:
        return CLASSIFICATION, f"{width} numbers a row" + (", and a label" if original.labels else "")
    if said.classes:
        return CLASSIFICATION, "--classes names them"
    if said.target in rows.names and not rows.is_numeric(said.target):
        return CLASSIFICATION, f"one number a row, and {said.target!r} holds words"
    return REGRESSION, "one number a row; --task classification, if it is a score for the second of two classes"


def _values(original: Original, why_task: str) -> Answers:
    """A value in a unit that is a power of two, about as large as the largest: a tolerance then means the same for all targets."""
    largest = float(np.abs(original.outputs).max())
    exponent = math.ceil(math.log2(largest)) if largest > 0 else 0
    unit = 2.0 ** min(100, max(-100, exponent))
    ending = Ending(original.output, 1, factor=1 / unit)
    return Answers(REGRESSION, VALUE, (), unit, original.outputs / unit, ending, {"task": why_task})


def _meaning(original: Original, said: Said) -> tuple[str, str]:
    raw_NK = original.outputs
    within = bool((raw_NK >= -EDGE).all() and (raw_NK <= 1 + EDGE).all())
    sums = raw_NK.sum(axis=1) if raw_NK.shape[1] > 1 else np.ones(len(raw_NK))
    probable = within and bool(np.abs(sums - 1).max() <= SUM_TOLERANCE)
    wanted = said.outputs or original.meaning
    if wanted == PROBABILITIES and not probable:
        raise ConfigError(
            f"outputs: found numbers from {raw_NK.min():.4g} to {raw_NK.max():.4g} that sum to {sums.min():.4g} to {sums.max():.4g} a row, wanted "
            "probabilities, which sum to 1; say --outputs logits, or end the model with a softmax"
        )
    if wanted:
        return wanted, "as you said" if said.outputs else "the model says so"
    if within and not probable:
        raise ConfigError(
            f"outputs: found numbers from 0 to 1 that sum to {sums.min():.4g} to {sums.max():.4g} a row: several labels at once, each with its own "
            "probability? Those are not served; say --outputs logits if they are scores of one label"
        )
    return (PROBABILITIES, "from 0 to 1, and they sum to 1") if probable else (LOGITS, "not from 0 to 1")


def _classes(original: Original, said: Said, rows: Rows, raw_NK: np.ndarray) -> tuple[tuple[str, ...], str]:
    count = raw_NK.shape[1]
    if said.classes:
        return _checked(said.classes, count), "as you said"
    for names in original.classes:
        if len(names) == count and _agree(names, original.labels, raw_NK):
            if _only_numbered(names) and (found := _of_target(rows, said.target, count)):
                return found, f"the model numbers them; these are the values of {said.target!r}, sorted"
            return tuple(names), "the model names them"
    if original.labels and not _agree(tuple(map(str, range(count))), original.labels, raw_NK):
        raise ConfigError(
            f"classes: the model's labels ({', '.join(sorted(set(original.labels))[:6])}) are not those of its greatest outputs by any list of "
            f"{count} names in it; name them in the order of its outputs with --classes A,B,…"
        )
    if found := _of_target(rows, said.target, count):
        return found, f"the values of {said.target!r}, sorted"
    return tuple(str(i) for i in range(count)), "the model does not name them; --classes A,B,… does"


def _checked(names: Sequence[str], count: int) -> tuple[str, ...]:
    if len(names) != count or len(set(names)) != count:
        raise ConfigError(
            f"--classes: found {len(set(names))} different names, wanted {count}, in the order of the model's outputs"
        )
    return tuple(names)


def _agree(names: Sequence[str], labels: Sequence[str], raw_NK: np.ndarray) -> bool:
    """Whether the greatest output's name is the model's own label, in every row that has one greatest output."""
    top_N2 = np.sort(raw_NK, axis=1)[:, -2:]
    clear = top_N2[:, 1] - top_N2[:, 0] > EDGE
    chosen = raw_NK.argmax(axis=1)
    return all(names[chosen[row]] == label for row, label in enumerate(labels) if clear[row])


def _only_numbered(names: Sequence[str]) -> bool:
    return list(names) == [str(i) for i in range(len(names))]


def _of_target(rows: Rows, target: str, count: int) -> tuple[str, ...]:
    """The target's values, sorted, where they are as many as the classes."""
    values = sorted(set(labels_of(rows, target))) if target in rows.names else []
    return tuple(values) if len(values) == count else ()


def labels_of(rows: Rows, target: str) -> list[str]:
    """The target's class names; whole numbers without their point, as a model names them."""
    if not rows.is_numeric(target):
        return rows.texts(target)
    return [str(int(value)) if value.is_integer() else repr(value) for value in rows.numbers(target).tolist()]


def targets(answers: Answers, rows: Rows, target: str) -> np.ndarray:
    """(N,) class places, or values in the answers' unit; SchemaError for a class that the model does not have."""
    if answers.task == REGRESSION:
        return rows.numbers(target) / answers.unit
    place = {name: i for i, name in enumerate(answers.classes)}
    labels = labels_of(rows, target)
    if strange := sorted(set(labels) - set(place)):
        raise SchemaError(
            f"{rows.url}: column {target!r}: found {strange[0]!r}, wanted one of the model's classes {', '.join(answers.classes[:8])}; name them in "
            "the order of the model's outputs with --classes A,B,…"
        )
    return np.array([place[label] for label in labels], dtype=np.int64)


def _softmax(logits_NK: np.ndarray) -> np.ndarray:
    odds_NK: Any = np.exp(logits_NK - logits_NK.max(axis=1, keepdims=True))
    return odds_NK / odds_NK.sum(axis=1, keepdims=True)
