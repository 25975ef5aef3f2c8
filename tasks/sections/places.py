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
    workers: int = Field(
        default=0,
        ge=0,
        le=10_000,
        description="Worker processes; 0: what the machine has",
        json_schema_extra=NOT_IN_KEY,
    )
    memory_gib: float = Field(
        default=0.0,
        ge=0,
        description="Memory limit of each worker, in GiB; 0: such that all fit into the machine's",
        json_schema_extra=NOT_IN_KEY,
    )
