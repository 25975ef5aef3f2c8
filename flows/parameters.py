"""The parameters of flows, as Prefect's form shows them. Of preset, config and overrides the later ones win."""

from typing import Annotated, Any

from pydantic import Field

from flows.settings import PipelineConfig
from tasks.sections import StorageSection

Preset = Annotated[str | None, Field(description="A preset's name, such as digits; `millrace presets` lists them")]
Config = Annotated[PipelineConfig | None, Field(description="A whole configuration; leave it out to take the preset's")]
Overrides = Annotated[
    dict[str, Any] | None, Field(description='Single values by their dotted names: {"train.epochs": 3}')
]

Force = Annotated[bool, Field(description="Run every step, also what is found in the store")]

Pattern = r"^[a-z0-9][a-z0-9._-]{0,63}$"
ModelName = Annotated[str, Field(pattern=Pattern, description="The model's name in the registry")]
Alias = Annotated[str, Field(pattern=Pattern, description="The name that points at a version")]
Storage = Annotated[StorageSection, Field(description="The store of the model, as in its run's configuration")]
StorageUrl = Annotated[
    str, Field(description="Folder or s3://bucket/prefix; empty: the store in the worker's data root")
]
