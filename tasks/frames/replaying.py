"""Refused rows run through again, as the sources and the configuration are today. Nothing of the data set is changed."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from storage.objects import ObjectStore
from tasks.frames.admitting import admitted
from tasks.frames.identity import identified
from tasks.frames.pieces import Piece
from tasks.frames.planning import make_plan
from tasks.frames.raw import FILE, ROW, UNREADABLE, Refusal
from tasks.frames.shelved import Report, here
from tasks.frames.withdrawing import UNIQUE
from tasks.sections import DataSection

Wanted = Mapping[str, Mapping[int, str]]
"""By file and row the rule that the row was refused for; row 0 is the file as a whole."""


@dataclass
class Replay:
    """By rule: the rows that pass now (`passed`, by the rule of then), those that are still refused (`refused`, by the rule of now, with an
    example each), and those whose file or row is not there any more (`gone`). `undecided`: they repeat a key, which all shards decide.
    """

    passed: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    gone: Counter[str] = field(default_factory=Counter)
    undecided: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)


def replay(section: DataSection, store: ObjectStore, refused: Iterable[pa.Table], report: Report) -> Replay:
    """What becomes of the `refused` rows (see `refused_tables`). Raises what a run would raise before its first shard."""
    left = _wanted(refused)
    found = Replay()
    plan = make_plan(section, identified(section), store, here, report)
    concerned = [piece for piece in plan.pieces if _concerns(piece, left)]
    for number, piece in enumerate(concerned, 1):
        rows = admitted(plan.section, plan.schema, store, piece)
        for refusal in rows.refused:
            _still(found, left, refusal)
        for file, row in zip(rows.rows.column(FILE).to_pylist(), rows.rows.column(ROW).to_pylist(), strict=True):
            _passes(found, left, file, row)
            if piece.format != UNREADABLE:
                _passes(found, left, file, 0)
        report({"done": number, "total": len(concerned)})
    for rules in left.values():
        found.gone.update(rules.values())
    return found


def _wanted(refused: Iterable[pa.Table]) -> dict[str, dict[int, str]]:
    wanted: dict[str, dict[int, str]] = {}
    for table in refused:
        columns = (table.column(name).to_pylist() for name in (FILE, ROW, "label"))
        for file, row, label in zip(*columns, strict=True):
            wanted.setdefault(file, {})[row] = label
    return wanted


def _concerns(piece: Piece, wanted: Wanted) -> bool:
    """Whether a refused row may lie in the piece."""
    if piece.pattern is not None:
        return any(file.startswith(f"{piece.entries[0].name}::") for file in wanted)
    rows = [wanted[entry.name] for entry in piece.entries if entry.name in wanted]
    if len(piece.entries) > 1:
        return bool(rows)
    return any(row == 0 or piece.start < row <= piece.stop for some in rows for row in some)


def _passes(found: Replay, left: dict[str, dict[int, str]], file: str, row: int) -> None:
    label = left.get(file, {}).pop(row, None)
    if label is not None:
        (found.undecided if label.split(" ")[0] == UNIQUE else found.passed)[label] += 1


def _still(found: Replay, left: dict[str, dict[int, str]], refusal: Refusal) -> None:
    if left.get(refusal.file, {}).pop(refusal.row, None) is not None:
        label = refusal.label or refusal.rule
        found.refused[label] += 1
        found.examples.setdefault(label, f"{refusal.file} row {refusal.row}: {refusal.reason}")
