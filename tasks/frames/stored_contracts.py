"""The contract that lies with a data set, and what another data set's says otherwise."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from storage.blobs import read_blob
from storage.errors import NotFound
from storage.objects import ObjectStore
from tasks.frames.assembling import CONTRACT
from tasks.frames.inferring import STANDARD_ERRORS
from tasks.frames.seen import Seen
from tasks.frames.stored_rows import open_dataset
from tasks.sections import ContractSection

NOTEWORTHY = 0.02  # a share of missing values that differs by less is not told
VALUES_NAMED = 5


@dataclass(frozen=True)
class StoredContract:
    """`rules`: what `data.contract` takes; `seen`: of all rows, by column; `types`: by column, those that are not used have none."""

    rules: dict[str, Any]
    seen: Mapping[str, Seen]
    types: Mapping[str, str]
    rows: int


def read_contract(store: ObjectStore, dataset: str) -> StoredContract:
    """The contract of the data set of that digest. NotFound where it was made before there were contracts."""
    manifest = open_dataset(store, dataset)
    if CONTRACT not in manifest.files:
        raise NotFound(f"data set {dataset[:12]}: was made before contracts were kept; run again to have one")
    kept = json.loads(read_blob(store, manifest.files[CONTRACT]))
    rules = ContractSection.model_validate(kept["contract"]).model_dump(mode="json", exclude_defaults=True)
    types = {column["name"]: column["type"] for column in manifest.meta["schema"]}
    return StoredContract(
        rules,
        kept["seen"],
        {**dict.fromkeys(manifest.meta["unused"], ""), **types},
        manifest.meta["rows_out"],
    )


def changes(before: StoredContract, now: StoredContract) -> list[str]:
    """What is different in the source, in words: columns, types, categories, missing values."""
    found = [f"column {name!r} is new" for name in now.types if name not in before.types]
    found += [f"column {name!r} is missing" for name in before.types if name not in now.types]
    for name in now.types:
        if name not in before.types:
            continue
        old, new = before.types[name], now.types[name]
        if old != new:
            found.append(f"column {name!r}: was {old or 'not used'}, is {new or 'not used'}")
        elif new:
            found += [f"column {name!r}: {said}" for said in _differences(before.seen[name], now.seen[name])]
    return found


def _differences(before: Seen, now: Seen) -> Iterator[str]:
    old, new = before.get("counts"), now.get("counts")
    if old is not None and new is not None:
        yield from _named("new value", [value for value in new if value not in old])
        yield from _named("no more", [value for value in old if value not in new])
    if "least" in before and "least" in now:
        if now["least"] < before["least"]:
            yield f"least value {before['least']:g} → {now['least']:g}"
        if now["most"] > before["most"]:
            yield f"greatest value {before['most']:g} → {now['most']:g}"
    if before["rows"] and now["rows"]:
        yield from _missing(
            before["missing"] / before["rows"], now["missing"] / now["rows"], before["rows"], now["rows"]
        )


def _missing(old: float, new: float, old_rows: int, new_rows: int) -> Iterator[str]:
    """A difference that is more than chance, and more than nothing."""
    error = (old * (1 - old) / old_rows + new * (1 - new) / new_rows) ** 0.5
    if abs(new - old) > max(NOTEWORTHY, STANDARD_ERRORS * error):
        yield f"missing in {old:.1%} → {new:.1%} of the rows"


def _named(what: str, values: Sequence[str]) -> Iterator[str]:
    if values:
        more = f" and {len(values) - VALUES_NAMED} more" if len(values) > VALUES_NAMED else ""
        yield f"{what}{'s' if len(values) > 1 and what != 'no more' else ''} {', '.join(map(repr, values[:VALUES_NAMED]))}{more}"
