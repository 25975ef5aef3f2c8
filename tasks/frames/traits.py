"""What the columns of a sample are like, and which of them a table is better learned without."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tasks.frames.arrow import pc
from tasks.frames.cells import NUMBER, as_texts, typed
from tasks.frames.schema import LONG, infer_type
from tasks.sections import CsvOptions

MISSING = CsvOptions().missing
MORE_MISSING = (
    "None",
    "none",
    "NULL",
    "NONE",
    "n/a",
    "na",
    "#N/A",
    "<NA>",
    "nil",
    "-",
    "--",
    ".",
    "unknown",
    "Unknown",
    "missing",
)
NUMBERS_SHARE = 0.9  # of the values, for a column with words for `no value` among its numbers
DATE = r"^(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4})([T ]\d{1,2}:\d{2}.*)?$"
DECIMAL_COMMA = r"^[+-]?\d{1,3}(\.?\d{3})*,\d+$"
ID_NAME = re.compile(r"(^|[^a-z])(id|ids|uid|uuid|guid|index|key|rownum|row)$|^unnamed|^$", re.IGNORECASE)
ID_ENDING = re.compile(r"[a-z](Id|ID)$")
TOKENS = r"[一-鿿぀-ヿ]|\w+|[^\w\s]"
A_NAME = 3  # words; what is different in each row and longer is a text
FEW_ROWS = 20  # fewer say nothing of what a column always does


@dataclass(frozen=True)
class Trait:
    """A column of the sample. `type`: as in data.columns, or date or nested. `distinct`, `missing`: of the sample's rows.

    `tokens`: words and marks of a text, at the 90th percentile. `words`: words for `no value` found among numbers.
    """

    name: str
    type: str
    rows: int
    missing: int
    distinct: int
    tokens: int = 0
    length: float = 0.0  # characters, on average
    words: tuple[str, ...] = ()


def describe(name: str, values: pa.ChunkedArray) -> Trait:
    """What the column's values are."""
    if pa.types.is_fixed_size_list(values.type):
        return Trait(name, "image", len(values), 0, len(values))
    if pa.types.is_nested(values.type) or pa.types.is_binary(values.type):
        return Trait(name, "nested", len(values), values.null_count, len(values))
    texts = as_texts(values, MISSING)
    known = texts.drop_null()
    kind, words = _type(values, known)
    distinct, length = pc.count_distinct(known).as_py(), pc.mean(pc.utf8_length(known)).as_py() or 0.0
    tokens = _tokens(known) if kind in ("text", "category") else 0
    if kind == "category" and distinct == len(known) > FEW_ROWS and tokens > A_NAME:
        kind = "text"
    return Trait(name, kind, len(values), texts.null_count, distinct, tokens, length, words)


def _type(values: pa.ChunkedArray, known: pa.Array) -> tuple[str, tuple[str, ...]]:
    if pa.types.is_temporal(values.type):
        return "date", ()
    kind = infer_type(values, MISSING)
    if kind not in ("text", "category") or len(known) == 0:
        return kind, ()
    for pattern, called in ((DATE, "date"), (DECIMAL_COMMA, "decimal comma")):
        if _share(known, pattern) > NUMBERS_SHARE:
            return called, ()
    if _share(known, NUMBER) > NUMBERS_SHARE:
        others = pc.unique(known.filter(pc.invert(pc.match_substring_regex(known, NUMBER)))).to_pylist()
        if set(others) <= set(MORE_MISSING):
            return "number", tuple(sorted(others))
    return kind, ()


def _share(texts: pa.Array, pattern: str) -> float:
    return pc.mean(pc.match_substring_regex(texts, pattern).cast(pa.float64())).as_py()


def _tokens(texts: pa.Array) -> int:
    some = texts[:: max(1, len(texts) // 1000)].to_pylist()
    return int(np.quantile([len(re.findall(TOKENS, text)) for text in some], 0.9)) if some else 0


def reasons_against(table: pa.Table, traits: Mapping[str, Trait], target: str, task: str) -> dict[str, str]:
    """Columns that a table is learned without, each with the reason."""
    found = {}
    for name, trait in traits.items():
        if name != target and (reason := _against(table, trait, target, task)):
            found[name] = reason
    return found


def _against(table: pa.Table, trait: Trait, target: str, task: str) -> str:
    known = trait.rows - trait.missing
    if trait.type == "nested":
        return "lists or bytes, not single values"
    if known == 0:
        return "it has no value in any row"
    if trait.distinct == 1 and not trait.missing:
        return "it has the same value in every row"
    if trait.type == "date":
        return "a date or time; make columns such as year or weekday of it where they matter"
    if trait.type == "decimal comma":
        return "numbers with a comma in them; write them with a decimal point, and nothing between thousands"
    if _is_id(table.column(trait.name), trait, known):
        return "it numbers or names the rows, a different value in each"
    if trait.type == "text":
        return "a text; --text NAME learns from it instead"
    return _gives_away(table, trait, target, task) if known > FEW_ROWS else ""


def _is_id(values: pa.ChunkedArray, trait: Trait, known: int) -> bool:
    if known <= FEW_ROWS or trait.distinct < known or trait.type == "number":
        return False
    named = bool(ID_NAME.search(trait.name) or ID_ENDING.search(trait.name))
    if trait.type != "integer":
        return named or (trait.length < LONG / 2 and trait.tokens <= A_NAME)
    if named:
        return True
    numbers = typed(values, "integer", MISSING)[0].drop_null().to_numpy()
    steps = np.diff(np.sort(numbers))
    return bool((steps == 1).all())


def _gives_away(table: pa.Table, trait: Trait, target: str, task: str) -> str:
    """Whether the column is the target again, under other names or as it is."""
    mine, answers = as_texts(table.column(trait.name), MISSING), as_texts(table.column(target), MISSING)
    both = pc.and_(pc.is_valid(mine), pc.is_valid(answers))
    mine, answers = mine.filter(both), answers.filter(both)
    if len(mine) <= FEW_ROWS:
        return ""
    if task == "regression":
        return _same_number(table, trait, target)
    pairs = pc.count_distinct(pc.binary_join_element_wise(mine, answers, "\x1f")).as_py()
    classes = pc.count_distinct(answers).as_py()
    if classes > 1 and pairs == classes == pc.count_distinct(mine).as_py():
        return f"it says the same as {target!r}, row by row: that would give the answer away"
    return ""


def _same_number(table: pa.Table, trait: Trait, target: str) -> str:
    if trait.type not in ("integer", "number"):
        return ""
    columns = [
        typed(table.column(name), "number", MISSING)[0].to_numpy(zero_copy_only=False) for name in (trait.name, target)
    ]
    known = np.isfinite(columns[0]) & np.isfinite(columns[1])
    x, y = (column[known] for column in columns)
    if len(x) > FEW_ROWS and x.std() and y.std() and abs(np.corrcoef(x, y)[0, 1]) > 1 - 1e-9:
        return f"it is {target!r} in another unit: that would give the answer away"
    return ""


LIKELY = (
    "target",
    "label",
    "labels",
    "class",
    "y",
    "outcome",
    "category",
    "sentiment",
    "species",
    "survived",
    "diagnosis",
)


def likeliest_target(traits: Sequence[Trait]) -> Trait:
    """The column that looks most like what one predicts: by its name, else the last that is no text, date or constant."""
    by_name = {trait.name.strip().lower(): trait for trait in traits}
    named = [by_name[name] for name in LIKELY if name in by_name]
    fit = [trait for trait in traits if trait.distinct > 1 and trait.type in ("integer", "number", "category")]
    return (named or fit[::-1] or list(traits)[::-1])[0]
