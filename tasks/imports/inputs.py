"""What a foreign model takes, in the words of our transforms: how rows become x, and x the model's own inputs.

Scaling is the model's own, so numbers go in as they are. N rows, F columns, H×W pixels of C channels.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from storage.errors import ConfigError, SchemaError
from tasks.graphs.adapting import Feed
from tasks.graphs.foreign import End
from tasks.imports.tables import Rows
from tasks.transforms.images import ImageInput
from tasks.transforms.items import Refused, did_you_mean, show
from tasks.transforms.tables import TableInput

CHANNELS = (1, 3)
MOST_TEXTS = 2000  # places that a column of texts may take in x


def as_served(numbers: np.ndarray) -> np.ndarray:
    """float64 numbers as a request's reach the model: rounded to float32. The original is asked about the same."""
    return numbers.astype(np.float32).astype(np.float64)


@dataclass(frozen=True)
class Asked:
    """What the user said of the rows. `columns`: those that go in, in this order; `mean`, `std`: of the channels of images scaled to 0…1."""

    target: str = ""
    columns: tuple[str, ...] = ()
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()


@dataclass(frozen=True)
class Taken:
    """`fields`: the input as transforms.json has it; `feeds`: where the model's inputs come from, `names`: the columns of each."""

    kind: str
    fields: dict[str, Any]
    feeds: tuple[Feed, ...]
    names: tuple[tuple[str, ...], ...]

    @property
    def input(self) -> TableInput | ImageInput:
        """The input that makes x of columns."""
        return (ImageInput if self.kind == "image" else TableInput).load(self.fields, {})

    def columns(self, rows: Rows) -> dict[str, Any]:
        """The rows' values by column, as the input wants them; SchemaError names the first that will not do."""
        if self.kind == "image":
            return _pixels(rows, self.names[0][0], self.input)
        texts = {
            name for feed, names in zip(self.feeds, self.names, strict=True) if feed.texts is not None for name in names
        }
        return {
            name: rows.texts(name) if name in texts else rows.numbers(name) for names in self.names for name in names
        }

    def arrays(self, columns: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """What the original takes: its own inputs in their own types, straight from the rows."""
        return {
            feed.name: self._array(feed, names, columns) for feed, names in zip(self.feeds, self.names, strict=True)
        }

    def _array(self, feed: Feed, names: Sequence[str], columns: Mapping[str, Any]) -> np.ndarray:
        if self.kind == "image":
            x = self.input.features(columns)
            x = np.transpose(x, feed.axes) if feed.axes else x
            return np.rint(x).astype(feed.dtype) if np.dtype(feed.dtype).kind in "iu" else x.astype(feed.dtype)
        if feed.texts is not None:
            together = np.stack([np.asarray(columns[name], dtype=object) for name in names], axis=1)
        else:
            together = np.stack([as_served(columns[name]) for name in names], axis=1).astype(feed.dtype)
        return together.reshape(-1) if feed.flat else together


def table_of(inputs: Sequence[End], rows: Rows, asked: Asked, texts: Sequence[str]) -> Taken:
    """A table of numbers for one input (N, F), or a column for each of several inputs (N, 1). `texts`: the categories that the graph knows."""
    if len(inputs) == 1 and inputs[0].dtype != "string" and len(inputs[0].shape) == 2:
        names = _chosen(rows, asked)
        width = inputs[0].shape[1]
        if width is not None and width != len(names):
            raise SchemaError(
                f"{rows.url}: found {len(names)} columns ({_some(names)}), the model takes {width} numbers; "
                "say which is the answer with --target COLUMN, or which go in, in the model's order, with --columns A,B,…"
            )
        feed = Feed(inputs[0].name, inputs[0].dtype, whole=True)
        return Taken("table", {"columns": [_number(name, feed) for name in names]}, (feed,), (names,))
    feeds, fields, at = list[Feed](), list[dict[str, Any]](), 0
    names = [_named(end, rows, asked) for end in inputs]
    for end, name in zip(inputs, names, strict=True):
        known = tuple(sorted({*texts, *rows.texts(name)})) if end.dtype == "string" else None
        if known and len(known) > MOST_TEXTS:
            raise SchemaError(
                f"input {end.name!r}: found {len(known)} different texts, wanted at most {MOST_TEXTS} categories"
            )
        width = 1 if known is None else len(known) + 1
        feeds.append(Feed(end.name, end.dtype, at, at + width, known, flat=len(end.shape) == 1))
        fields.append(_number(name, feeds[-1]) if known is None else _category(name, known))
        at += width
    return Taken("table", {"columns": fields}, tuple(feeds), tuple((name,) for name in names))


def image_of(end: End, rows: Rows, asked: Asked) -> Taken:
    """Images for one input (N, C, H, W) or (N, H, W, C); sizes that the model leaves free are those of the first image."""
    names = _chosen(rows, asked)
    if len(names) != 1:
        raise SchemaError(
            f"{rows.url}: found the columns {_some(names)}, wanted one with an image in each row; say which with --columns NAME"
        )
    last = end.shape[3] in CHANNELS and end.shape[1] not in CHANNELS
    sizes = (end.shape[1], end.shape[2], end.shape[3]) if last else (end.shape[2], end.shape[3], end.shape[1])
    maximum = _maximum(rows, names[0])
    shape = _shape(sizes, next(rows.cells(names[0])), end)
    fields = {
        "name": names[0],
        "shape": list(shape),
        "maximum": maximum,
        "mean": _channels("--mean", asked.mean, shape[2], 0.0),
        "std": _channels("--std", asked.std, shape[2], 1.0 if asked.mean else 1.0 / maximum),
    }
    feed = Feed(end.name, end.dtype, whole=True, axes=(0, 2, 3, 1) if last else ())
    return Taken("image", fields, (feed,), ((names[0],),))


def _chosen(rows: Rows, asked: Asked) -> tuple[str, ...]:
    for name in asked.columns:
        rows.column(name)
    return asked.columns or tuple(name for name in rows.names if name != asked.target)


def _named(end: End, rows: Rows, asked: Asked) -> str:
    """The column that an input is named after."""
    names = _chosen(rows, asked)
    if len(end.shape) > 2 or (len(end.shape) == 2 and end.shape[1] not in (1, None)):
        raise ConfigError(
            f"the model has several inputs, and {end} is no column; wanted one input (rows, numbers), or one a column. Join them before the export"
        )
    found = [name for name in names if end.name in (name, re.sub(r"\W", "_", name))]
    if not found:
        raise SchemaError(
            f"{rows.url}: has no column {end.name!r}, which the model takes; found {_some(names)}{did_you_mean(end.name, names)}"
        )
    return found[0]


def _number(name: str, feed: Feed) -> dict[str, Any]:
    whole = np.dtype(feed.dtype).kind in "iu"
    bounds = {"minimum": None, "maximum": None}  # a sample does not say what the model may not be given
    return {
        "name": name,
        "type": "integer" if whole else "number",
        "nullable": False,
        **bounds,
        "median": 0.0,
        "mean": 0.0,
        "std": 1.0,
    }


def _category(name: str, values: Sequence[str]) -> dict[str, Any]:
    return {"name": name, "type": "category", "nullable": False, "values": list(values), "missing": []}


def _shape(sizes: Sequence[int | None], first: Any, end: End) -> tuple[int, int, int]:
    given = [int(size) for size in np.shape(np.asarray(first))] if isinstance(first, list) else []
    given += [1] if len(given) == 2 else []
    if None in sizes and len(given) != 3:
        raise ConfigError(
            f"input {end}: its size is free; give a sample of nested lists of numbers, of the size that is wanted"
        )
    height, width, channels = (size or given[place] for place, size in enumerate(sizes))
    return height, width, channels


def _maximum(rows: Rows, name: str) -> float:
    greatest = list[float]()
    for number, cell in enumerate(rows.cells(name), 1):
        if not isinstance(cell, list):
            continue
        try:
            pixels = np.asarray(cell, dtype=np.float64)
            least, most = float(pixels.min()), float(pixels.max())
        except (TypeError, ValueError):  # lists of several lengths, of none, or of what is no number
            raise SchemaError(
                f"{rows.url}: column {name!r}: row {number}: found {show(cell)}, wanted the numbers of an image"
            ) from None
        if least < 0:
            raise SchemaError(
                f"{rows.url}: column {name!r}: row {number}: found a pixel of {least:g}, wanted pixels as they are in files; say how the model "
                "scales them with --mean and --std"
            )
        greatest.append(most)
    return 1.0 if greatest and max(greatest) <= 1 else 255.0


def _channels(option: str, given: Sequence[float], channels: int, otherwise: float) -> list[float]:
    if given and len(given) not in (1, channels):
        raise ConfigError(f"{option}: found {len(given)} numbers, wanted {channels}, one a channel")
    return list(given) * (channels // len(given)) if given else [otherwise] * channels


def _pixels(rows: Rows, name: str, image: Any) -> dict[str, Any]:
    found = []
    for number, cell in enumerate(rows.cells(name), 1):
        if isinstance(cell, list) and cell and not isinstance(cell[0], list) and len(cell) == np.prod(image.shape):
            cell = np.reshape(cell, image.shape)
        try:
            found.append(image.parse(cell)[0])
        except Refused as error:
            raise SchemaError(f"{rows.url}: column {name!r}: row {number}: {error}") from None
    return {name: np.stack(found)}


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
