"""Where things are kept, and where data are processed."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from storage.errors import ConfigError
from storage.surroundings import variables
from tasks.sections.base import NOT_IN_KEY, Section, Share, Url

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
    """Where everything that lasts is kept. Nothing secret: credentials come from the environment."""

    url: Url = Field(
        default="",
        description="Folder, s3://bucket/prefix, gs://bucket/prefix or az://container/prefix; empty: store in the data root",
        json_schema_extra=NOT_IN_KEY,
    )
    endpoint: Url = Field(
        default="",
        pattern=r"^(https?://[^/\s]+(/\S*)?)?$",
        description="The server's address, as in https://s3.example.org; empty: the cloud's own. S3 sources are read there too",
        json_schema_extra=NOT_IN_KEY,
    )
    region: str = Field(
        default="", description="S3's region; empty: AWS_REGION, or us-east-1", json_schema_extra=NOT_IN_KEY
    )
    ca_file: str = Field(
        default="",
        description="PEM file of certificates to trust, on every machine of the run; empty: the system's",
        json_schema_extra=NOT_IN_KEY,
    )
    encryption: Literal["", "sse-s3", "sse-kms", "sse-c"] = Field(
        default="",
        description="What S3 is asked to encrypt with: its own key, a KMS key, or AWS_SSE_CUSTOMER_KEY_BASE64; empty: the bucket's default",
        json_schema_extra=NOT_IN_KEY,
    )
    kms_key: str = Field(
        default="",
        description="The KMS key's id, for sse-kms; empty: the account's default",
        json_schema_extra=NOT_IN_KEY,
    )

    verify_share: Share = Field(
        default=0.01,
        description="Share of the blobs of each hit that are hashed again; their sizes are always checked. 1: all, as --verify does; "
        "on a local folder all are, as often as a file's times or size change",
        json_schema_extra=NOT_IN_KEY,
    )

    @model_validator(mode="after")
    def _fits_the_store(self) -> "StorageSection":
        if self.kms_key and self.encryption != "sse-kms":
            raise ValueError(f"storage.kms_key is set and storage.encryption is {self.encryption!r}; wanted 'sse-kms'")
        try:
            self.variables()
        except ConfigError as error:
            raise ValueError(str(error)) from None
        return self

    def variables(self) -> dict[str, str]:
        """These settings as environment variables, for `storage.surroundings.surrounded`."""
        return variables(self.url, self.endpoint, self.region, self.ca_file, self.encryption, self.kms_key)


class ClusterSection(Section):
    """Where data are processed in parallel."""

    address: str = _beside("local, cuda, kubernetes, or the address of a Dask scheduler", default="local")
    workers: int = _beside("Worker processes; 0: what the machine has, 2 on Kubernetes", default=0, ge=0, le=10_000)
    max_workers: int = _beside(
        "kubernetes: as many pods as the work asks for, from cluster.workers up to so many; 0: always cluster.workers",
        default=0,
        ge=0,
        le=10_000,
    )
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
