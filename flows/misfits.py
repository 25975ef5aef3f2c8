"""What does not fit together between the sections of a configuration: told before any work."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tasks.recipes import TREES, UNCOMPRESSED
from tasks.sections import Distil, Quantise, Recipe, TrainSection

if TYPE_CHECKING:
    from flows.settings import PipelineConfig

METRICS = {
    "classification": ("accuracy", "macro_f1", "log_loss"),
    "regression": ("rmse",),
    "language_model": ("bits_per_byte", "perplexity"),
}
FAMILIES = {
    "image": ("cnn", "resnet", "mlp"),
    "audio": ("cnn", "resnet", "mlp"),
    "text": ("textcnn", "lstm", "transformer"),
    "table": ("mlp", "sklearn"),
}
LOSSES = {
    "classification": ("auto", "cross_entropy", "bce"),
    "regression": ("auto", "mse"),
    "language_model": ("auto", "cross_entropy"),
}


def misfits(config: "PipelineConfig") -> Iterator[str]:
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
    if (config.data.format == "own") != bool(config.data.reader):
        yield f"data.format is {config.data.format!r} and data.reader {config.data.reader!r}; wanted own and module:name together"
    if config.train.family not in families:
        yield f"train.family is {config.train.family!r} for data.kind {config.data.kind!r}; wanted {' or '.join(families)}"
    shares = config.data.validation_share + config.data.test_share
    if shares >= 1:
        yield f"data.validation_share and data.test_share are {shares:g} together; wanted less than 1, the rest is for training"
    for field, named in (("columns", [rule.name for rule in config.data.columns]), ("features", config.data.features)):
        for name in {name for name in named if named.count(name) > 1}:
            yield f"data.{field} names {name!r} more than once; wanted each column once"
    yield from _unfit_training(config)
    yield from _unfit_recipes(config)


def _or(names: tuple[str, ...]) -> str:
    return " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _unfit_training(config: "PipelineConfig") -> Iterator[str]:
    train, task = config.train, config.data.task
    if train.loss not in LOSSES[task]:
        yield f"train.loss is {train.loss!r} for {task}; wanted {_or(LOSSES[task])}"
    if train.label_smoothing and task != "classification":
        yield f"train.label_smoothing is {train.label_smoothing:g} for {task}; wanted 0, there are no labels"
    if train.family == "sklearn":
        for name in ("loss", "label_smoothing", "l1", "l2", "clip_norm"):
            if getattr(train, name) not in ("auto", 0):
                yield f"train.{name} is set for family sklearn; it is for networks, wanted it left out (train.sklearn has its own)"
    for kind, fields in train.augment.wanted_by().items():
        if fields and kind != config.data.kind:
            yield f"train.augment.{fields[0]} is set for data.kind {config.data.kind!r}; it is for {kind} alone, wanted it left out"


def _unfit_recipes(config: "PipelineConfig") -> Iterator[str]:
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
        for item in recipe.passes:
            if train.family == "lstm" and isinstance(item, Quantise) and item.mode != "weights":
                yield f"{called}: quantise.mode is {item.mode!r} for an lstm; wanted 'weights'"
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
