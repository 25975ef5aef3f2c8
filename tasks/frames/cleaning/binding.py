"""Which columns each pass works on, found once the schema is known."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from storage.errors import ConfigError
from tasks.frames.schema import Column, Schema
from tasks.sections import ClipPass, DataPass, DataSection, FunctionPass, MissingPass
from tasks.transforms.cleaning.chain import CHANGES
from tasks.transforms.items import did_you_mean, show

TEXTS = ("text", "category", "passage")
NUMBERS = ("integer", "number")


@dataclass(frozen=True)
class Bound:
    """A pass and its columns; none for a user's function, which gets all."""

    wish: DataPass
    columns: tuple[Column, ...]

    @property
    def changes(self) -> bool:
        """Whether it changes values, here as in the service; else it leaves rows out."""
        return self.wish.kind in CHANGES and getattr(self.wish, "action", "") != "drop"

    @property
    def step(self) -> dict[str, Any]:
        """Kind and parameters as `tasks.transforms.cleaning` takes them."""
        return {name: value for name, value in self.wish.model_dump(mode="json").items() if name != "columns"}


def bind(section: DataSection, schema: Schema) -> list[Bound]:
    """The passes in order. ConfigError where one names a column that is no feature, or is of another type, or finds none."""
    return [Bound(wish, _columns(f"data.passes[{place}]", wish, schema)) for place, wish in enumerate(section.passes)]


def changes_of(passes: Sequence[Bound], schema: Schema) -> list[dict[str, Any]]:
    """Of each feature that any pass changes: `name`, `type`, whether it is `required`, and `steps` in order."""
    found = []
    for column in schema.features:
        steps = [one.step for one in passes if one.changes and column in one.columns]
        if steps:
            found.append({"name": column.name, "type": column.type, "required": not column.nullable, "steps": steps})
    return found


def _columns(where: str, wish: DataPass, schema: Schema) -> tuple[Column, ...]:
    if isinstance(wish, FunctionPass):
        return ()
    wanted = _types(wish)
    if not wish.columns:
        default = ("text", "passage") if wanted == TEXTS else wanted
        chosen = tuple(column for column in schema.features if column.type in default)
        if not chosen:
            raise ConfigError(f"{where} ({wish.kind}): found no feature of type {' or '.join(default)}; name columns")
        return chosen
    known = {column.name: column for column in schema.features}
    for name in wish.columns:
        if name not in known:
            why = "is the target, which is not cleaned" if name in [c.name for c in schema.targets] else "is no feature"
            raise ConfigError(
                f"{where}.columns: {name!r} {why}; wanted one of {', '.join(known)}{did_you_mean(name, known)}"
            )
        _check(where, wish, known[name], wanted)
    return tuple(known[name] for name in wish.columns)


def _types(wish: DataPass) -> tuple[str, ...]:
    if isinstance(wish, ClipPass):
        return NUMBERS
    if isinstance(wish, MissingPass):
        return (*NUMBERS, *TEXTS) if wish.value is None else TEXTS if isinstance(wish.value, str) else NUMBERS
    return TEXTS


def _check(where: str, wish: DataPass, column: Column, wanted: tuple[str, ...]) -> None:
    if column.type not in wanted:
        raise ConfigError(
            f"{where} ({wish.kind}): column {column.name!r} is of type {column.type}, wanted {' or '.join(wanted)}"
        )
    given = (getattr(wish, name, None) for name in ("minimum", "maximum", "value"))
    bad = next((v for v in given if column.type == "integer" and isinstance(v, float) and not v.is_integer()), None)
    if bad is not None:
        raise ConfigError(f"{where} ({wish.kind}): column {column.name!r} is of integers, found {show(bad)}")
