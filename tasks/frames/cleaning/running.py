"""The passes over the rows of one shard: values changed, rows left out, and nothing lost."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import orjson
import pyarrow as pa

from tasks.frames.arrow import pc
from tasks.frames.cleaning import own_pass
from tasks.frames.cleaning.binding import Bound, bind
from tasks.frames.cleaning.filters import FILTERS, PREFIXES
from tasks.frames.cleaning.verdicts import Verdicts
from tasks.frames.raw import FILE, ROW, Refusal, cut
from tasks.frames.schema import ARRAYS, Schema
from tasks.sections import DataSection, FunctionPass, PiiPass
from tasks.transforms.cleaning import pii
from tasks.transforms.cleaning.chain import ROUNDS, apply, differing, put, settle

LEFT = "nothing is left of it"


class Shard:
    """The rows as they were checked, as they are now, and the refusals of those that were left out."""

    def __init__(self, schema: Schema, rows: pa.Table) -> None:
        self.schema, self.given, self.rows = schema, rows, rows
        self.numbers = np.arange(rows.num_rows)  # of `rows` among `given`
        self.left_out: list[tuple[int, str, str]] = []

    def put(self, name: str, values: Any) -> None:
        """Other values in a column."""
        self.rows = self.rows.set_column(self.rows.column_names.index(name), name, values)

    def leave_out(self, verdicts: Verdicts) -> None:
        """The rows that `verdicts` names."""
        if not verdicts.left_out.any():
            return
        self.left_out += [(int(self.numbers[row]), rule, reason) for row, rule, reason in verdicts.said()]
        self.numbers = self.numbers[~verdicts.left_out]
        self.rows = self.rows.filter(pa.array(~verdicts.left_out)).combine_chunks()

    def refusals(self) -> list[Refusal]:
        """Of all rows left out, in their order, each as it was before any pass."""
        left_out = sorted(self.left_out)
        plain = [column.name for column in self.schema.columns if column.type not in ARRAYS]
        rows = self.given.select([*plain, FILE, ROW]).take(pa.array([row for row, _, _ in left_out], pa.int64()))
        return [
            Refusal(row[FILE], row[ROW], rule, reason, cut(_dumped(row, plain)))
            for row, (_, rule, reason) in zip(rows.to_pylist(), left_out, strict=True)
        ]


class Cleaned(NamedTuple):
    """`rows`: those that are left; `refused`: the others; `kept`: the numbers of those that are left among all, from 0."""

    rows: pa.Table
    refused: list[Refusal]
    kept: np.ndarray


def clean(section: DataSection, schema: Schema, rows: pa.Table) -> Cleaned:
    """Checked rows after `data.passes`, and the refusals of the others. Their sum is what was given."""
    passes = bind(section, schema)
    if not passes:
        return Cleaned(rows, [], np.arange(rows.num_rows))
    shard = Shard(schema, _plain(rows))
    for one in passes:
        if isinstance(one.wish, FunctionPass):
            own_pass.run(one.wish.name, shard)
        elif one.changes:
            _change(one, shard)
        else:
            _filter(one, shard)
    _settle(passes, shard)
    return Cleaned(shard.rows, without_personal(section, shard.refusals()), shard.numbers)


def _plain(rows: pa.Table) -> pa.Table:
    """The rows with no column coded in a dictionary."""
    for place, column in enumerate(rows.schema):
        if pa.types.is_dictionary(column.type):
            rows = rows.set_column(place, column.name, rows.column(place).cast(column.type.value_type))
    return rows


def without_personal(section: DataSection, refused: list[Refusal]) -> list[Refusal]:
    """Refusals as they are kept: where `data.passes` look for personal data, what they find is masked here, too."""
    wishes = [wish for wish in section.passes if isinstance(wish, PiiPass)]
    if not wishes or not refused:
        return refused
    for wish in wishes:
        step = wish.model_dump(mode="json")
        said, raw = (
            pii.masked(pa.array(texts, pa.string()), step).to_pylist()
            for texts in zip(*((r.reason, r.raw) for r in refused), strict=True)
        )
        refused = [replace(one, reason=a, raw=b) for one, a, b in zip(refused, said, raw, strict=True)]
    return refused


def _change(one: Bound, shard: Shard) -> None:
    for column in one.columns:
        values = apply(one.step, column.type, _whole(shard.rows.column(column.name)))
        shard.put(column.name, values)
        if not column.nullable:
            verdicts = Verdicts(len(values), one.wish.kind, column.name)
            verdicts.refuse(_nulls(values), "empty", [LEFT] * len(values), "some text after the pass")
            shard.leave_out(verdicts)


def _filter(one: Bound, shard: Shard) -> None:
    for column in one.columns:
        verdicts = Verdicts(shard.rows.num_rows, PREFIXES.get(one.wish.kind, one.wish.kind), column.name)
        FILTERS[one.wish.kind](one.wish, _whole(shard.rows.column(column.name)), verdicts)
        shard.leave_out(verdicts)


def _settle(passes: Sequence[Bound], shard: Shard) -> None:
    """All changes again until they change nothing more, as in the service: there, what is clean already comes through as it is.

    What no pass has changed is at rest; a first round of the others is done.
    """
    for column in shard.schema.features:
        steps = [one.step for one in passes if one.changes and column in one.columns]
        values = _whole(shard.rows.column(column.name))
        before = _whole(shard.given.column(column.name)).take(pa.array(shard.numbers)) if steps else values
        changed = np.flatnonzero(differing(before, values)) if steps else np.zeros(0, np.intp)
        if not len(changed):
            continue
        settled, rules = settle(steps, column.type, values.take(pa.array(changed)), ROUNDS - 1)
        shard.put(column.name, put(values, changed, settled))
        verdicts = Verdicts(len(values), "cleaning", column.name)
        for rule, wanted in (("unsettled", "a text that comes to rest"), ("empty", "some text after all passes")):
            mask = np.zeros(len(values), bool)
            mask[changed[[row for row, found in rules.items() if found == rule]]] = True
            verdicts.refuse(mask & (rule == "unsettled" or not column.nullable), rule, None, wanted)
        shard.leave_out(verdicts)


def _nulls(values: Any) -> np.ndarray:
    return np.asarray(pc.is_null(values).to_numpy(zero_copy_only=False))


def _whole(values: Any) -> Any:
    array = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    return array.chunk(0) if isinstance(array, pa.ChunkedArray) else array


def _dumped(row: dict[str, Any], names: Sequence[str]) -> str:
    return orjson.dumps({name: row[name] for name in names}, default=str).decode()
