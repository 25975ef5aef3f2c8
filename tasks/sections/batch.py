"""Batch prediction: which rows, and what is written of them."""

from pydantic import Field, field_validator

from tasks.sections.base import NOT_IN_KEY, Section, Url

ALL = "all"


class BatchSection(Section):
    """Batch prediction: which rows, and what is written of them."""

    sources: tuple[Url, ...] = Field(
        min_length=1,
        description="Parquet, CSV or TSV files, compressed or not: paths, folders, globs or URLs",
        json_schema_extra=NOT_IN_KEY,  # what they hold is an input of the step
    )
    output: Url = Field(
        min_length=1,
        description="Folder or URL (s3://bucket/prefix, gs://…, az://…) that gets the predictions",
        json_schema_extra=NOT_IN_KEY,
    )
    keep: tuple[str, ...] = Field(
        default=(),
        description="Columns of the source to write beside the prediction; all: every one; empty: each row's file and number",
    )
    probabilities: bool = Field(default=False, description="Write the probability of each class, too")
    delimiter: str = Field(default=",", min_length=1, max_length=1, description="Field separator of CSV files")
    part_rows: int = Field(
        default=0,
        ge=0,
        description="Rows of a part, which is one task and one file of the output; 0: by the model's kind",
    )

    @field_validator("keep")
    @classmethod
    def _each_once(cls, keep: tuple[str, ...]) -> tuple[str, ...]:
        repeated = next((name for name in keep if keep.count(name) > 1), None)
        if repeated is not None:
            raise ValueError(f"names {repeated!r} twice; wanted each column once")
        return keep
