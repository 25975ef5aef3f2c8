"""`PipelineConfig`: everything a run can be told, and the ways of saying it: preset, YAML file, dotted overrides."""

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, Field, ValidationError, model_validator

from storage.errors import ConfigError
from tasks.recipes import TREES, UNCOMPRESSED
from tasks.sections import (
    ClusterSection,
    CompressSection,
    DataSection,
    Distil,
    EvaluateSection,
    Recipe,
    ReleaseSection,
    Section,
    StorageSection,
    TrainSection,
    TransformsSection,
)

METRICS = {
    "classification": ("accuracy", "macro_f1", "log_loss"),
    "regression": ("rmse",),
    "language_model": ("bits_per_byte", "perplexity"),
}
FAMILIES = {"image": ("cnn", "mlp"), "text": ("textcnn",), "table": ("mlp", "sklearn")}


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


def misfits(config: PipelineConfig) -> Iterator[str]:
    """What does not fit together between the sections, in words."""
    wanted = METRICS[config.data.task]
    if config.evaluate.metric not in wanted:
        yield f"evaluate.metric is {config.evaluate.metric!r} for {config.data.task}; wanted {_or(wanted)}"
    families = FAMILIES[config.data.kind]
    if config.data.task == "language_model":
        families = ("gpt",)
        if config.data.kind != "text":
            yield f"data.kind is {config.data.kind!r} for language_model; wanted text"
    elif config.data.format == "documents":
        yield f"data.format is documents for {config.data.task}; wanted language_model as data.task, or text_folders, where folders are labels"
    if config.train.family not in families:
        yield f"train.family is {config.train.family!r} for data.kind {config.data.kind!r}; wanted {' or '.join(families)}"
    shares = config.data.validation_share + config.data.test_share
    if shares >= 1:
        yield f"data.validation_share and data.test_share are {shares:g} together; wanted less than 1, the rest is for training"
    declared = [rule.name for rule in config.data.columns]
    for name in {name for name in declared if declared.count(name) > 1}:
        yield f"data.columns declares {name!r} more than once; wanted one rule a column"
    yield from _unfit_recipes(config)


def _or(names: tuple[str, ...]) -> str:
    return " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _unfit_recipes(config: PipelineConfig) -> Iterator[str]:
    names = [recipe.name for recipe in config.compress.recipes]
    for recipe in config.compress.recipes:
        kinds = [item.kind for item in recipe.passes]
        if not kinds:
            yield f"compress.recipes: {recipe.name!r} has no pass; the uncompressed model is always a candidate, leave it out"
        if names.count(recipe.name) > 1 or recipe.name == UNCOMPRESSED.name:
            yield f"compress.recipes: the name {recipe.name!r} is taken; wanted each once, and {UNCOMPRESSED.name!r} is the uncompressed model's"
        yield from _unfit_order(recipe, config.train)
        trees = config.train.family == "sklearn"
        if trees and kinds and kinds[0] not in ("truncate", "distil"):
            yield f"compress.recipes: {recipe.name!r} begins with {kinds[0]!r} for family sklearn; wanted truncate or distil first"
        if not trees and "truncate" in kinds:
            yield f"compress.recipes: {recipe.name!r} truncates a {config.train.family}; truncate is for tree ensembles"


def _unfit_order(recipe: Recipe, train: TrainSection) -> Iterator[str]:
    """What one pass of the recipe leaves that the next one cannot take."""
    kinds = [item.kind for item in recipe.passes]
    called = f"compress.recipes: {recipe.name!r}"
    if "quantise" in kinds[:-1]:
        yield f"{called} goes on after quantise; wanted quantise last"
    if train.family != "sklearn":
        return
    if "truncate" in kinds and train.sklearn.estimator not in TREES:
        yield f"{called} truncates a {train.sklearn.estimator}; truncate is for {' and '.join(TREES)}"
    if "prune" in kinds and "distil" not in kinds[: kinds.index("prune")]:
        yield f"{called} prunes what is no network yet; wanted distil before prune"
    for item in recipe.passes:
        if isinstance(item, Distil):
            if not item.hidden:
                yield f"{called}: distil.hidden is empty; wanted the hidden widths of the network that learns from the {train.sklearn.estimator}"
            break


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
    if not merged:
        raise ConfigError(
            "nothing to run: found neither a preset nor a config, wanted one of them; see `millrace presets`"
        )
    try:
        return PipelineConfig.model_validate(merged)
    except ValidationError as error:
        raise ConfigError("\n".join(explain(error, merged))) from None


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
        raise ConfigError(
            f"config {path}: found {type(data).__name__}, wanted a mapping with sections such as data and train"
        )
    return data


def dump_config(config: PipelineConfig) -> str:
    """The configuration as YAML, the inverse of `load_config`."""
    import yaml

    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


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
        message.replace("Input should be", "wanted"),
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
