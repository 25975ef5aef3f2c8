"""The parameters that every flow of a run has, as Prefect's form shows them. Preset, config, overrides: the later ones win."""

from typing import Annotated, Any

from pydantic import Field

from flows.settings import PipelineConfig

Preset = Annotated[str | None, Field(description="A preset's name, such as digits; `millrace presets` lists them")]
Config = Annotated[PipelineConfig | None, Field(description="A whole configuration; leave it out to take the preset's")]
Overrides = Annotated[
    dict[str, Any] | None, Field(description='Single values by their dotted names: {"train.epochs": 3}')
]
