"""What each column is: declared in the configuration, else inferred from the first rows."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import pyarrow as pa

from storage.errors import SchemaError
from tasks.frames.arrow import pc
from tasks.frames.cells import INTEGER, NUMBER, as_texts
from tasks.frames.raw import ORIGIN
from tasks.sections import ColumnRule, DataSection
from tasks.transforms.items import did_you_mean

MANY = 200  # a text column has more distinct values than this, and more than one for every five rows
LONG = 60  # … or is longer than this on average, in characters
SAMPLE_ROWS = 5000
ARRAYS = ("image", "audio")  # types of columns that hold an array in each row


@dataclass(frozen=True)
class Column:
    """One column of a data set.

    Images have `shape` (H, W, C), `dtype`, `maximum` (the greatest pixel value) and `resize` (how files come to that shape);
    recordings have `shape` (samples), `dtype` and `rate`.
    """

    name: str
    type: str
    nullable: bool = True
    minimum: float | None = None
    maximum: float | None = None
    categories: tuple[str, ...] | None = None
    shape: tuple[int, ...] | None = None
    dtype: str | None = None
    resize: str | None = None
    rate: int | None = None

    def to_json(self) -> dict[str, Any]:
        fields = {"name": self.name, "type": self.type, "nullable": self.nullable, **asdict(self)}
        return {k: list(v) if isinstance(v, tuple) else v for k, v in fields.items() if v is not None}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Column":
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
        return cls(**fields)


@dataclass(frozen=True)
class Schema:
    """`columns`: features in order, then the target, if there is one. `unused`: columns of the source that are neither; `watched`: those
    of them that the contract names: they are checked, and not kept."""

    columns: tuple[Column, ...]
    unused: tuple[str, ...] = ()
    has_target: bool = True
    watched: tuple[Column, ...] = ()

    @property
    def features(self) -> tuple[Column, ...]:
        return self.columns[: len(self.columns) - self.has_target]

    @property
    def targets(self) -> tuple[Column, ...]:
        """The target, or none for a language model."""
        return self.columns[len(self.features) :]


def make_schema(section: DataSection, sample: pa.Table, arrays: Column | None) -> Schema:
    """The schema of a source whose first rows are `sample`. `arrays`: what its column of images or recordings is, but for the name."""
    names = [name for name in sample.column_names if name not in ORIGIN]
    targets = () if section.task == "language_model" else (section.target,)
    rules = section.rules
    for field, wanted in (
        ("data.columns", [rule.name for rule in section.columns]),
        ("data.contract", section.contract.names()),
        ("data.features", section.features),
        ("data.target", targets),
    ):
        _check_names(field, wanted, names)
    found = {name: _column(section, name, rules.get(name), sample.column(name), arrays) for name in names}
    features = section.features or _features(section, found, declared=set(rules))
    if any(target in features for target in targets):
        raise SchemaError(f"data.features: {section.target!r} is the target, and no feature; leave it out")
    columns = tuple(found[name] for name in features)
    _check_kinds(section, columns)
    if section.kind != "table":
        columns = tuple(_not_null(column, section.task) for column in columns)
    unused = tuple(name for name in names if name not in features and name not in targets)
    watched = tuple(found[name] for name in unused if name in section.contract.names())
    return Schema((*columns, *(found[target] for target in targets)), unused, bool(targets), watched)


def _check_names(field: str, wanted: Any, names: Sequence[str]) -> None:
    for name in wanted:
        if name not in names:
            raise SchemaError(
                f"{field}: no column {name!r} in the data; found {', '.join(names)}{did_you_mean(name, names)}"
            )


def _column(
    section: DataSection,
    name: str,
    rule: ColumnRule | None,
    values: pa.ChunkedArray,
    arrays: Column | None,
) -> Column:
    if pa.types.is_fixed_size_list(values.type):
        if arrays is None:
            raise SchemaError(
                f"column {name!r}: a list column; images and recordings are read from files of their own, or from IDX"
            )
        return replace(arrays, name=name)
    if name == section.target and section.task != "language_model":
        kind = "category" if section.task == "classification" else "number"
        categories = rule.categories if rule else None
        limits = (rule.minimum, rule.maximum) if rule and kind == "number" else (None, None)
        return Column(name, kind, False, *limits, categories)
    if rule is None:
        return Column(name, infer_type(values, section.csv.missing))
    return Column(name, rule.type, rule.nullable, rule.minimum, rule.maximum, rule.categories)


def infer_type(values: pa.ChunkedArray, missing: tuple[str, ...]) -> str:
    if pa.types.is_integer(values.type):
        return "integer"
    if pa.types.is_floating(values.type) or pa.types.is_decimal(values.type):
        return "number"
    texts = as_texts(values, missing).drop_null()
    if len(texts) == 0:
        return "category"
    for kind, pattern in (("integer", INTEGER), ("number", NUMBER)):
        if pc.all(pc.match_substring_regex(texts, pattern)).as_py():
            return kind
    distinct, length = pc.count_distinct(texts).as_py(), pc.mean(pc.utf8_length(texts)).as_py()
    return "text" if length > LONG or (distinct > MANY and distinct > len(texts) / 5) else "category"


def _features(section: DataSection, found: dict[str, Column], declared: set[str]) -> tuple[str, ...]:
    targets = () if section.task == "language_model" else (section.target,)
    others = [column for name, column in found.items() if name not in targets]
    if section.kind == "table":
        return tuple(column.name for column in others if column.type not in ("text", *ARRAYS))
    suitable = [column.name for column in others if column.type == section.kind]
    if section.kind == "text" and not suitable:
        suitable = [column.name for column in others if column.type == "category" and column.name not in declared]
    if len(suitable) != 1:
        found_text = ", ".join(suitable) or "none"
        raise SchemaError(
            f"data.features: found {found_text} as {section.kind} columns, wanted one; name it in data.features"
        )
    return (suitable[0],)


def _check_kinds(section: DataSection, columns: tuple[Column, ...]) -> None:
    allowed = {"table": {"integer", "number", "category"}, "text": {"text", "category"}}.get(
        section.kind, {section.kind}
    )
    bad = next((column for column in columns if column.type not in allowed), None)
    if bad is not None:
        raise SchemaError(
            f"data.kind is {section.kind}: column {bad.name!r} is of type {bad.type}, wanted {' or '.join(sorted(allowed))}; "
            "declare its type in data.columns, or leave it out of data.features"
        )
    if not columns:
        raise SchemaError("data.features: no column is left to predict from; name them in data.features")
    if section.kind != "table" and len(columns) != 1:
        raise SchemaError(f"data.features: found {len(columns)} columns, wanted one for data.kind {section.kind}")


def _not_null(column: Column, task: str) -> Column:
    """The one column of a text, image or recording: without it there is nothing to predict from. A language model's keeps its white space."""
    kind = "text" if column.type == "category" else column.type
    return replace(column, type="passage" if task == "language_model" else kind, nullable=False)
