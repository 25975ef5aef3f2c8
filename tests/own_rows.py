"""Small files as people have them, for what is guessed from somebody's own data."""

import csv
import random
from pathlib import Path
from typing import Any

import pytest

from flows.own_data import infer
from storage.errors import MillraceError

HEAD = ["id", "size", "colour", "seen", "const", "void", "edible"]


def rows(count: int = 300) -> list[list[Any]]:
    draw = random.Random(0)
    return [
        [n, round(draw.uniform(1, 30), 2), draw.choice(["red", "brown"]), f"2024-01-{n % 28 + 1:02}", "x", "", "ny"[n % 2]]
        for n in range(count)
    ]  # fmt: skip


def write(path: Path, header: list[str] | None, lines: list[list[Any]], delimiter: str = ",") -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows([*([header] if header else []), *lines])
    return str(path)


def texts(count: int, words: int = 30) -> list[str]:
    draw = random.Random(1)
    return [" ".join(f"word{draw.randrange(900)}" for _ in range(words)) for _ in range(count)]


def said(url: str, **more: Any) -> str:
    """What is said of data that will not do: one message of a few lines."""
    with pytest.raises(MillraceError) as caught:
        infer(url, **more)
    assert len(str(caught.value).splitlines()) <= 4
    return str(caught.value)
