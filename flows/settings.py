"""`PipelineConfig`: everything a run can be told, and the ways of saying it: preset, YAML file, dotted overrides."""

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, Field, ValidationError, model_validator

from flows.misfits import misfits
from storage.errors import ConfigError
from tasks.sections import (
    ClusterSection,
    CompressSection,
    DataSection,
    EvaluateSection,
    ReleaseSection,
    Section,
    StorageSection,
    TrainSection,
    TransformsSection,
)

MISTAKES_SHOWN = 5


class PipelineConfig(Section):
    """A whole run: a section for each stage, and where it runs."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$", description="The model's name in the registry")
    data: DataSection = Field(description="prepare: where rows come from and what they must look like")
    transforms: TransformsSection = Field(
        default_factory=TransformsSection, description="What is fitted on training rows"
    )
    train: TrainSection = Field(description="train: which model, and how it learns")
    compress: CompressSection = Field(default_factory=CompressSection, description="compress: the candidates")
    evaluate: EvaluateSection = Field(default_factory=EvaluateSection, description="evaluate: what decides")
    release: ReleaseSection = Field(default_factory=ReleaseSection, description="release: where the model goes")
    storage: StorageSection = Field(default_factory=StorageSection, description="Where everything that lasts is kept")
    cluster: ClusterSection = Field(default_factory=ClusterSection, description="Where data are processed in parallel")

    @model_validator(mode="after")
    def _sections_fit_together(self) -> "PipelineConfig":
        """Refuse before any work what would fail after hours of it."""
        for fault in misfits(self):
            raise ValueError(fault)
        return self


def resolve(
    preset: str | None = None, config: Mapping[str, Any] | None = None, overrides: Mapping[str, Any] | None = None
) -> PipelineConfig:
    """The configuration that a preset, a (partial) config and dotted overrides make together, the later ones winning.

    Raises ConfigError naming the field, the value, what is allowed and the nearest right name.
    """
    from flows.presets import preset_config

    merged: dict[str, Any] = {}
    if preset:
        merged = preset_config(preset).model_dump(mode="json")
    merged = merge(merged, config or {})
    for dotted, value in (overrides or {}).items():
        merged = merge(merged, nest(dotted, value))
    merged = with_contract(merged)
    if not merged:
        raise ConfigError(
            "nothing to run: found neither a preset nor a config, wanted one of them; see `millrace presets`"
        )
    try:
        return PipelineConfig.model_validate(merged)
    except ValidationError as error:
        raise ConfigError(mistakes(error, merged)) from None


def with_contract(config: dict[str, Any]) -> dict[str, Any]:
    """`data.contract` as it stands in the file that it names."""
    data = config.get("data")
    path = data.get("contract") if isinstance(data, Mapping) else None
    return merge(config, {"data": {"contract": load_config(path)}}) if isinstance(path, str) else config


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`above` laid over `below`, mappings merged deeply, everything else replaced."""
    merged = dict(below)
    for name, value in above.items():
        old = merged.get(name)
        merged[name] = merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


def nest(dotted: str, value: Any) -> dict[str, Any]:
    """`nest("train.epochs", 3)` is `{"train": {"epochs": 3}}`."""
    head, _, rest = dotted.partition(".")
    if not head or (dotted.endswith(".")):
        raise ConfigError(f"override {dotted!r}: found an empty name, wanted section.field, as in train.epochs=3")
    return {head: nest(rest, value) if rest else value}


def parse_override(text: str) -> tuple[str, Any]:
    """`"train.epochs=3"` as `("train.epochs", 3)`; values are YAML, so lists and quoted texts work."""
    import yaml

    dotted, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"--set {text!r}: found no '=', wanted section.field=value, as in --set train.epochs=3")
    try:
        return dotted.strip(), yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {text!r}: the value is no YAML: {' '.join(str(error).split())}") from None


def load_config(path: str) -> dict[str, Any]:
    """The mapping in a YAML file. Raises ConfigError naming file and line."""
    import yaml

    try:
        data = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"config {path}: cannot be read: {error.strerror}; give the path of a YAML file") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"config {path}: no valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(data, dict):
        raise ConfigError(f"config {path}: found {type(data).__name__}, wanted a mapping of names to values")
    return data


def load_storage(path: str) -> StorageSection:
    """The storage section of a YAML file, or the default one. Raises ConfigError naming file or field."""
    given = {"storage": load_config(path).get("storage") or {}}
    try:
        return _OnlyStorage.model_validate(given).storage
    except ValidationError as error:
        raise ConfigError(mistakes(error, given)) from None


class _OnlyStorage(Section):
    storage: StorageSection


def dump_config(config: PipelineConfig) -> str:
    """The configuration as YAML, the inverse of `load_config`."""
    import yaml

    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def mistakes(error: ValidationError, given: Mapping[str, Any]) -> str:
    """The first few mistakes, one a line, and how many more there are."""
    found = list(explain(error, given))
    if len(found) <= MISTAKES_SHOWN:
        return "\n".join(found)
    shown = found[: MISTAKES_SHOWN - 1]
    return "\n".join([*shown, f"… and {len(found) - len(shown)} more; correct these, and the others are shown"])


def explain(error: ValidationError, given: Mapping[str, Any]) -> Iterator[str]:
    """One line for each mistake: field, value found, what is wanted, nearest right name."""
    for mistake in error.errors():
        location = [part for part in mistake["loc"] if not str(part).startswith("function-")]
        field = ".".join(str(part) for part in location)
        if mistake["type"] == "extra_forbidden":
            yield f"config {field}: found {_shown(mistake['input'])}, but there is no such field{nearest(location)}"
        elif mistake["type"].startswith("union_tag"):
            yield f"config {field}.kind: found {_shown(mistake['input'])}{_nearest_kind(mistake)}"
        elif mistake["type"] == "value_error":
            yield f"config {field}".strip() + f": {mistake['msg'].removeprefix('Value error, ')}"
        elif mistake["type"] == "missing":
            yield f"config {field}: missing; {description(location)}"
        else:
            yield f"config {field}: found {_shown(mistake['input'])}, {_wanted(mistake['msg'])}; {description(location)}"


def nearest(location: list[Any]) -> str:
    """A hint with the sibling field that looks most like the last name of `location`."""
    names = [name for section in _sections_at(location[:-1]) for name in section.model_fields]
    close = difflib.get_close_matches(str(location[-1]), names, n=1, cutoff=0.4)
    return f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(names)}" if names else ""


def description(location: list[Any]) -> str:
    """What the field at `location` means, from its own description."""
    for section in _sections_at(location[:-1]):
        field = section.model_fields.get(str(location[-1]))
        if field and field.description:
            return field.description
    return "see `millrace presets --show digits` for a whole example"


def _nearest_kind(mistake: Any) -> str:
    kinds = [kind.strip(" '") for kind in mistake["ctx"].get("expected_tags", "").split(",")]
    wanted = (
        f", wanted the kind of a pass: {', '.join(map(repr, kinds))}"
        if any(kinds)
        else ", wanted a pass with its kind, as in {kind: prune}"
    )
    close = difflib.get_close_matches(str(mistake["ctx"].get("tag", "")), kinds, n=1, cutoff=0.4)
    return wanted + (f"; did you mean {close[0]!r}?" if close else "")


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 80 else text[:79] + "…"


def _wanted(message: str) -> str:
    return re.sub(
        r"a valid dictionary or instance of \w+",
        "a mapping of its fields",
        message.replace("Input should be", "wanted").replace(
            "String should match pattern", "wanted a text that matches"
        ),
    )


def _sections_at(location: list[Any]) -> list[type[BaseModel]]:
    """The section that a location leads to (several where a union of passes is not told apart yet)."""
    sections: list[type[BaseModel]] = [PipelineConfig]
    for part in location:
        if isinstance(part, int):
            continue
        of_kind = [s for s in sections if "kind" in s.model_fields and s.model_fields["kind"].default == part]
        fields = [s.model_fields[part] for s in sections if part in s.model_fields]
        sections = of_kind or [model for field in fields for model in _models_in(field.annotation)]
    return sections


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]
