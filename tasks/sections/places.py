"""Where things are kept, and where data are processed."""

from pydantic import Field

from tasks.sections.base import NOT_IN_KEY, Section, Url


class StorageSection(Section):
    """Where everything that lasts is kept."""

    url: Url = Field(
        default="",
        description="Folder or s3://bucket/prefix; empty: store in the data root",
        json_schema_extra=NOT_IN_KEY,
    )


class ClusterSection(Section):
    """Where data are processed in parallel."""

    address: str = Field(
        default="local",
        description="local, cuda, kubernetes, or the address of a Dask scheduler",
        json_schema_extra=NOT_IN_KEY,
    )
    workers: int = Field(default=2, ge=1, le=10_000, description="Worker processes", json_schema_extra=NOT_IN_KEY)
    memory_gib: float = Field(
        default=4.0, gt=0, description="Memory limit of each local worker, in GiB", json_schema_extra=NOT_IN_KEY
    )
