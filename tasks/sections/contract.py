"""What rows must be like, rule by rule, and what is done with those that are not."""

import re
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from tasks.sections.base import Section, Share
from tasks.sections.expressions import parse

FIXES = {
    "type": ("missing", "constant"),
    "missing": ("constant",),
    "range": ("clip", "missing", "constant"),
    "length": ("clip", "missing", "constant"),
    "pattern": ("missing", "constant"),
    "category": ("missing", "constant"),
}
NEVER_WARN = ("type",)  # a cell that is no value of its type has none to be kept
RuleName = Literal["type", "missing", "range", "length", "pattern", "category"]


class Handling(Section):
    """What is done with a row that breaks a rule."""

    action: Literal["quarantine", "fix", "warn", "fail"] = Field(
        default="quarantine", description="quarantine: refuse the row; fix: change the cell; warn: count it; fail: stop"
    )
    fix: Literal["clip", "missing", "constant"] | None = Field(
        default=None, description="fix: to the nearest value allowed, to no value, or to `value`"
    )
    value: str | int | float | None = Field(default=None, description="The constant that a broken cell becomes")
    max_share: Share = Field(default=1.0, description="Stop when more than this share of the rows breaks the rule")

    @model_validator(mode="after")
    def _fits(self) -> "Handling":
        if (self.fix is not None) != (self.action == "fix"):
            raise ValueError("wanted `fix` with action fix, and only there: clip, missing or constant")
        if (self.value is not None) != (self.fix == "constant"):
            raise ValueError("wanted `value` with fix constant, and only there")
        return self


class ColumnRule(Section):
    """What is declared about one column; what is not declared is inferred from the first rows."""

    name: str = Field(description="The column's name")
    type: Literal["integer", "number", "category", "text", "image", "audio"] = Field(description="What its values are")
    nullable: bool = Field(default=True, description="Whether a value may be missing")
    minimum: float | None = Field(default=None, description="Least value allowed")
    maximum: float | None = Field(default=None, description="Greatest value allowed")
    categories: tuple[str, ...] | None = Field(default=None, description="The only values allowed, for a category")
    shortest: int | None = Field(default=None, ge=0, description="Least characters allowed, for a text or category")
    longest: int | None = Field(default=None, ge=1, description="Most characters allowed, for a text or category")
    pattern: str = Field(
        default="", description="RE2 pattern that the whole value must match, for a text or category; empty: none"
    )
    handling: dict[RuleName, Handling] = Field(
        default_factory=dict,
        description="By rule (type, missing, range, length, pattern, category) what is done with a row that breaks it; "
        "not named: quarantine",
    )

    @model_validator(mode="after")
    def _fits(self) -> "ColumnRule":
        for rule, handling in self.handling.items():
            if handling.fix and handling.fix not in FIXES[rule]:
                raise ValueError(
                    f"handling.{rule}: cannot be fixed by {handling.fix}; wanted {' or '.join(FIXES[rule])}"
                )
            if handling.action == "warn" and rule in NEVER_WARN:
                raise ValueError(f"handling.{rule}: warn keeps no value; wanted quarantine, fail, or fix to missing")
        if "length" in self.handling and self.handling["length"].fix == "clip" and self.shortest:
            raise ValueError("handling.length: a text that is too short cannot be clipped; leave `shortest` out")
        numeric, texts = self.type in ("integer", "number"), self.type in ("text", "category")
        if (self.pattern or self.shortest is not None or self.longest is not None) and not texts:
            raise ValueError(f"pattern, shortest and longest are for texts and categories, found type {self.type}")
        if (self.minimum is not None or self.maximum is not None) and not numeric and self.type != "category":
            raise ValueError(f"minimum and maximum are for integers and numbers, found type {self.type}")
        return self

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"{pattern!r} is no regular expression ({error})") from None
        return pattern

    def handled(self, rule: str) -> Handling:
        """What is done with a row that breaks `rule`; a target's missing value counts as missing."""
        return self.handling.get("missing" if rule == "missing_target" else rule, QUARANTINE)  # type: ignore[call-overload]


class RowRule(Handling):
    """What must hold between the columns of a row."""

    name: str = Field(min_length=1, description="What the rule is called where rows that break it are counted")
    expression: str = Field(
        max_length=500,
        description="Columns compared: `start <= end and (age >= 18 or not missing(parent))`; a row that lacks a value passes",
    )
    column: str = Field(default="", description="fix: the column that is changed")

    @field_validator("expression")
    @classmethod
    def _parses(cls, expression: str) -> str:
        parse(expression)
        return expression

    @model_validator(mode="after")
    def _of_a_column(self) -> "RowRule":
        if self.fix == "clip":
            raise ValueError("a rule between columns cannot be fixed by clip; wanted missing or constant")
        if bool(self.column) != (self.action == "fix"):
            raise ValueError("wanted `column` with action fix, and only there: the one that is changed")
        return self


class UniqueRule(Section):
    """Columns whose values together no two rows of the data set may share. A row that lacks one of them is not looked at."""

    columns: tuple[str, ...] = Field(min_length=1, description="The columns that make the key")
    action: Literal["quarantine", "warn", "fail"] = Field(
        default="quarantine",
        description="Of rows with the same key: all but one refused, counted only, or the run stopped",
    )
    max_share: Share = Field(default=1.0, description="Stop when more than this share of the rows repeats a key")

    @property
    def name(self) -> str:
        """What its rows are counted under."""
        return f"unique {', '.join(self.columns)}"


class ShareRule(Section):
    """How often a value, or none, is expected in a column, over all rows that fit."""

    column: str = Field(description="The column's name")
    value: str | None = Field(default=None, description="The category that is counted; none: missing values are")
    minimum: Share = Field(default=0.0, description="Least share of the rows")
    maximum: Share = Field(default=1.0, description="Greatest share of the rows")
    action: Literal["warn", "fail"] = Field(default="warn", description="What is done where the share is another")


class ContractSection(Section):
    """The rules of a data set, as `millrace contract` writes them. They count before what `data.columns` says of a column."""

    columns: tuple[ColumnRule, ...] = Field(default=(), description="Rules for a column each")
    rows: tuple[RowRule, ...] = Field(default=(), description="Rules between the columns of a row")
    unique: tuple[UniqueRule, ...] = Field(default=(), description="Keys that no two rows share")
    shares: tuple[ShareRule, ...] = Field(default=(), description="How often values are expected")
    closed: bool = Field(default=False, description="Whether a column that the contract does not name stops the run")

    def names(self) -> tuple[str, ...]:
        """The columns that it says something of."""
        named = [rule.name for rule in self.columns] + [rule.column for rule in self.shares]
        named += [
            name for rule in self.rows for name in (*parse(rule.expression).columns, *filter(None, [rule.column]))
        ]
        return tuple(dict.fromkeys([*named, *(name for rule in self.unique for name in rule.columns)]))

    def of_a_shard(self) -> dict[str, Any]:
        """What of it decides about the rows of a single shard."""
        return {
            "columns": [_unlimited(rule.key_fields()) for rule in self.columns],
            "rows": [_unlimited(rule.key_fields()) for rule in self.rows],
            "unique": [list(rule.columns) for rule in self.unique],
        }


def _unlimited(fields: dict[str, Any]) -> dict[str, Any]:
    handling = {name: _unlimited(one) for name, one in fields.get("handling", {}).items()}
    return {name: value for name, value in {**fields, "handling": handling}.items() if name != "max_share"}


QUARANTINE = Handling()
