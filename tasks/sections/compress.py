"""Stage compress: passes, and recipes made of them."""

from typing import Annotated, Literal

from pydantic import Field

from tasks.sections.base import NOT_IN_KEY, Section, Share


class Prune(Section):
    """Structured pruning: the weakest channels or units leave, the network gets narrower (torch-pruning)."""

    kind: Literal["prune"] = Field(default="prune", description="Which pass")
    share: Annotated[float, Field(gt=0, lt=1)] = Field(default=0.5, description="Share of channels or units removed")


class Distil(Section):
    """Training on the teacher's soft answers, to recover what pruning lost (Hinton 2015)."""

    kind: Literal["distil"] = Field(default="distil", description="Which pass")
    epochs: int = Field(default=10, ge=1, description="Passes over the training rows")
    temperature: float = Field(default=2.0, gt=0, description="Softens both distributions")
    soft_share: Share = Field(default=0.7, description="Weight of the teacher's answers; the rest is the labels'")
    learning_rate: float = Field(default=1e-3, ge=0, description="Peak learning rate")
    rows_share: Annotated[float, Field(gt=0, le=1)] = Field(
        default=1.0, description="Share of the training rows that is learned from, chosen by the seed"
    )
    hidden: tuple[int, ...] = Field(
        default=(), description="When the teacher is a tree ensemble: hidden widths of the mlp that learns from it"
    )


class Truncate(Section):
    """Keep only the first trees of an ensemble."""

    kind: Literal["truncate"] = Field(default="truncate", description="Which pass")
    share: Annotated[float, Field(gt=0, lt=1)] = Field(default=0.5, description="Share of the trees that stay")


class Quantise(Section):
    """int8: of weights only, or with ONNX Runtime dynamic (activations at run time) or static (both, calibrated on training rows)."""

    kind: Literal["quantise"] = Field(default="quantise", description="Which pass")
    mode: Literal["weights", "dynamic", "static"] = Field(
        default="static",
        description="static for convolutions and dense layers; weights, computed with in float, for lstm, transformer and gpt; "
        "dynamic, which answers one row at a time",
    )
    calibration_rows: int = Field(default=256, ge=1, description="Static: training rows that set the ranges")


Pass = Annotated[Prune | Distil | Truncate | Quantise, Field(discriminator="kind")]


class Recipe(Section):
    """A typed list of compression passes."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,40}$", description="The candidate's name")
    passes: tuple[Pass, ...] = Field(default=(), description="Applied in order")


class CompressSection(Section):
    """Stage compress."""

    recipes: tuple[Recipe, ...] = Field(default=(), description="The candidates; empty: the three that suit the family")
    parallel: int = Field(
        default=2, ge=1, le=64, description="Candidates made at the same time", json_schema_extra=NOT_IN_KEY
    )
