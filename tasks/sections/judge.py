"""Stages evaluate and release: what decides, and where the model goes."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from storage.aliases import BESIDE, CHAMPION
from tasks.sections.base import NOT_IN_KEY, Section


class EvaluateSection(Section):
    """Stage evaluate: what decides, and by how much it may fall."""

    metric: Literal["accuracy", "macro_f1", "log_loss", "rmse", "bits_per_byte", "perplexity"] = Field(
        default="accuracy", description="The metric that the gate looks at"
    )
    margin: float = Field(
        default=0.01,
        gt=0,
        description="Non-inferiority margin: the fall of the metric that is still acceptable, in its own unit (rmse and perplexity: relative)",
    )
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = Field(
        default=0.95, description="One-sided confidence of the gate, two-sided of intervals"
    )
    resamples: int = Field(default=2000, ge=100, le=100_000, description="Bootstrap resamples")
    minimum: float | None = Field(
        default=None,
        description="The metric's value (of those where less is better: the greatest) below which nothing is released",
    )
    max_slowdown: float = Field(
        default=1.0,
        gt=0,
        description="Veto a candidate whose latency surely exceeds so many times the fp32 model's at batch 1 and 32",
    )
    seed: int = Field(default=0, ge=0, description="Seed of the bootstrap")


class ApprovalSection(Section):
    """Whether a person has the last word before the alias moves."""

    ask: bool = Field(default=False, description="Wait for a person's answer in Prefect's UI before the alias moves")
    hours: float = Field(
        default=24.0, gt=0, le=720, description="How long to wait for the answer; then the candidate is held"
    )


class ReleaseSection(Section):
    """Stage release."""

    alias: str = Field(
        default=CHAMPION,
        pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$",
        description="The name that moves to the released version",
    )
    golden_rows: int = Field(default=8, ge=1, le=256, description="Test rows kept as golden requests")
    tolerance: float = Field(default=1e-4, gt=0, description="Greatest difference between outputs in parity checks")
    approval: ApprovalSection = Field(
        default_factory=ApprovalSection,
        description="Whether a person has the last word before the alias moves",
        json_schema_extra=NOT_IN_KEY,
    )

    @field_validator("alias")
    @classmethod
    def _is_promoted_to(cls, alias: str) -> str:
        if alias in BESIDE:
            raise ValueError(
                f"found {alias!r}, which only `millrace {alias}` begins, wanted {CHAMPION!r} or a name of its own"
            )
        return alias
