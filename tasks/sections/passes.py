"""Cleaning: the passes that rows go through in order, after they are checked and before they are hashed and split.

Some change values; those that do so in the model's columns run in the service as well, on what a client sends. Some leave rows out; they
are counted by rule and kept aside. A threshold that is null is not asked for.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tasks.sections.base import OWN_CODE, Section, Share
from tasks.sections.quality import C4Pass, FinewebPass, GopherPass, GopherRepetitionPass, TextPass

Pii = Literal["email", "phone", "ip", "card", "cn_mobile", "cn_id"]
Placeholder = Annotated[str, Field(pattern=r"^[^@0-9]*$", max_length=40)]


class UnicodePass(TextPass):
    """Changes texts: characters as they were meant."""

    kind: Literal["unicode"] = Field(default="unicode", description="Which pass")
    repair: bool = Field(
        default=True, description="UTF-8 that was once read as Windows-1252 or Latin-1 is read again (Ã© → é)"
    )
    form: Literal["none", "NFC", "NFKC"] = Field(
        default="NFC",
        description="Normal form (Unicode Annex 15); NFKC also makes wide letters and ligatures plain ones",
    )
    control: bool = Field(
        default=True,
        description="Control characters, zero-width spaces, soft hyphens and marks that turn the direction are taken out",
    )


class WhitespacePass(TextPass):
    """Changes texts: one space between words, at most one empty line between paragraphs."""

    kind: Literal["whitespace"] = Field(default="whitespace", description="Which pass")
    lines: Literal["keep", "join"] = Field(default="keep", description="Whether line ends stay, or become spaces")


class HtmlPass(TextPass):
    """Changes texts: HTML → what a reader sees. Tags of HTML only: `a < b` stays. What is escaped twice is unescaped twice."""

    kind: Literal["html"] = Field(default="html", description="Which pass")


class LowercasePass(TextPass):
    """Changes texts: lower case."""

    kind: Literal["lowercase"] = Field(default="lowercase", description="Which pass")


class LinesPass(TextPass):
    """Changes texts: lines that are no sentences leave, by the line rules of C4 (Raffel et al. 2020, §2.2)."""

    kind: Literal["lines"] = Field(default="lines", description="Which pass")
    ends_in_mark: bool = Field(
        default=True, description="Only lines that end in a full stop, exclamation, question or closing quotation mark"
    )
    min_words: int = Field(default=5, ge=0, description="Only lines of so many words")
    without: tuple[str, ...] = Field(
        default=(
            "javascript",
            "terms of use",
            "privacy policy",
            "cookie policy",
            "uses cookies",
            "use of cookies",
            "use cookies",
        ),
        description="Only lines without these words, in lower case (C4's)",
    )


class PiiPass(TextPass):
    """Personal data: masked (changes texts), or its rows dropped (leaves rows out)."""

    kind: Literal["pii"] = Field(default="pii", description="Which pass")
    find: tuple[Pii, ...] = Field(
        default=("email", "phone", "ip", "card", "cn_mobile", "cn_id"), min_length=1, description="What is looked for"
    )
    action: Literal["mask", "drop"] = Field(default="mask", description="A placeholder instead of it, or the row goes")
    placeholders: dict[Pii, Placeholder] = Field(
        default_factory=dict, description="Placeholder by kind; <EMAIL>, <PHONE>, <IP>, … where there is none"
    )


class ClipPass(Section):
    """Changes numbers: outliers become the nearest bound."""

    kind: Literal["clip"] = Field(default="clip", description="Which pass")
    columns: tuple[str, ...] = Field(min_length=1, description="Columns of numbers")
    minimum: float | None = Field(default=None, description="Least value; smaller ones become it")
    maximum: float | None = Field(default=None, description="Greatest value; greater ones become it")

    @model_validator(mode="after")
    def _some_bound(self) -> Self:
        if self.minimum is None and self.maximum is None:
            raise ValueError("found neither minimum nor maximum, wanted one or both")
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(f"found minimum {self.minimum:g} above maximum {self.maximum:g}")
        return self


class MissingPass(Section):
    """Missing values: their rows dropped (leaves rows out), or a constant instead (changes values)."""

    kind: Literal["missing"] = Field(default="missing", description="Which pass")
    columns: tuple[str, ...] = Field(default=(), description="Columns; empty: all features")
    action: Literal["drop", "constant"] = Field(default="drop", description="What happens")
    value: float | str | None = Field(default=None, description="The constant")

    @model_validator(mode="after")
    def _value_with_constant(self) -> Self:
        if (self.action == "constant") != (self.value is not None):
            raise ValueError(f"found action {self.action} with value {self.value!r}, wanted a value with constant only")
        return self


class LengthPass(TextPass):
    """Leaves rows out: texts that are too short or too long."""

    kind: Literal["length"] = Field(default="length", description="Which pass")
    minimum: int = Field(default=1, ge=0, description="Least characters")
    maximum: int | None = Field(default=None, ge=1, description="Most characters")


class LanguagePass(TextPass):
    """Leaves rows out: texts in other languages."""

    kind: Literal["language"] = Field(default="language", description="Which pass")
    keep: tuple[Annotated[str, Field(pattern=r"^[a-z]{2,3}$")], ...] = Field(
        min_length=1, description="Languages that stay, by ISO 639-1: en, zh, de, …"
    )
    min_probability: Share = Field(
        default=0.65, description="How sure it must be (0.65: FineWeb, Penedo et al. 2024, §3.2)"
    )


class FunctionPass(Section):
    """Your own function: it may leave rows out, and change values. It runs in stage prepare only, and never in the service."""

    kind: Literal["function"] = Field(default="function", description="Which pass")
    name: str = Field(
        pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$",
        description="module:name, from the current folder or PYTHONPATH: it gets the checked rows of a shard as a pandas.DataFrame and "
        "returns them; rows that it leaves out are filtered under its name. What it changes in features, clients must send as changed",
        json_schema_extra=OWN_CODE,
    )


DataPass = Annotated[
    UnicodePass
    | WhitespacePass
    | HtmlPass
    | LowercasePass
    | LinesPass
    | PiiPass
    | ClipPass
    | MissingPass
    | LengthPass
    | LanguagePass
    | GopherPass
    | GopherRepetitionPass
    | C4Pass
    | FinewebPass
    | FunctionPass,
    Field(discriminator="kind"),
]
