"""Where things are kept, and where data are processed."""

from typing import Annotated, Any

from pydantic import AfterValidator, Field

from tasks.sections.base import NOT_IN_KEY, Section, Url

_NAME = r"^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?)?$"  # what Kubernetes takes for a name


def _a_path(text: str) -> str:
    if "-----BEGIN" in text or "\n" in text:
        raise ValueError("a certificate or key would be kept in records and reports; wanted the path of a file")
    return text


File = Annotated[str, AfterValidator(_a_path)]


def _beside(description: str, **more: Any) -> Any:
    """A field that changes where and how work is done, never its result."""
    return Field(description=description, json_schema_extra=NOT_IN_KEY, **more)


class StorageSection(Section):
    """Where everything that lasts is kept."""

    url: Url = Field(
        default="",
        description="Folder or s3://bucket/prefix; empty: store in the data root",
        json_schema_extra=NOT_IN_KEY,
    )


class ClusterSection(Section):
    """Where data are processed in parallel."""

    address: str = _beside("local, cuda, kubernetes, or the address of a Dask scheduler", default="local")
    workers: int = _beside("Worker processes; 0: what the machine has, 2 on Kubernetes", default=0, ge=0, le=10_000)
    memory_gib: float = _beside(
        "Memory limit of each worker, in GiB; 0: such that all fit into the machine's, 4 on Kubernetes",
        default=0.0,
        ge=0,
    )
    tls_ca: File = _beside("tls:// address: PEM file of the authority that signs scheduler and workers", default="")
    tls_cert: File = _beside("tls:// address: PEM file of our own certificate", default="")
    tls_key: File = _beside("tls:// address: PEM file of its key", default="")
    image: str = _beside(
        "kubernetes: container image of scheduler and workers, with this very Millrace in it", default=""
    )
    namespace: str = _beside("kubernetes: namespace; empty: that of the context", default="", pattern=_NAME)
    cpus: float = _beside("kubernetes: processors that each worker asks for", default=1.0, gt=0, le=1024)
    secret: str = _beside(
        "kubernetes: secret whose entries become the workers' environment, such as AWS_SECRET_ACCESS_KEY",
        default="",
        pattern=_NAME,
    )
