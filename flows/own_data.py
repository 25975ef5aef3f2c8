"""A whole configuration from somebody's own data: what is guessed from a sample of them, why, and how to say otherwise."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from flows import own_wording as wording
from flows import sizing
from flows.commented import commented
from flows.own_names import model_name
from flows.settings import PipelineConfig, merge, mistakes, nest, resolve, with_contract
from storage.errors import ConfigError, SchemaError
from storage.root import data_root
from storage.surroundings import surrounded
from tasks.frames.choosing import Chosen, choose_columns, choose_folders
from tasks.frames.filesystems import hidden
from tasks.frames.heads import Sample, sample_rows
from tasks.frames.looking import Found, look
from tasks.frames.traits import MISSING
from tasks.sections import StorageSection

FAMILIES = {"table": "sklearn", "text": "textcnn", "image": "cnn", "audio": "cnn"}
FEWEST_ROWS = 20
QUARANTINE_SHARE = 0.05  # the default of data.max_quarantined_share


@dataclass(frozen=True)
class OwnData:
    """`values`: what was chosen, as nested configuration; `why`: a reason by dotted name; `told`: the same in a few lines for people."""

    url: str
    config: PipelineConfig
    values: dict[str, Any]
    why: dict[str, str]
    told: str

    def yaml(self) -> str:
        """The configuration with its reasons, to be kept and changed."""
        opening = (
            "Change what you like, then: millrace run --config THIS_FILE",
            f"Made by `millrace run` from a look at {hidden(self.url)}.",
        )
        return commented(self.values, self.why, opening)


def infer(
    url: str, target: str = "", text: str = "", name: str = "", overrides: Mapping[str, Any] | None = None
) -> OwnData:
    """The configuration for the data at `url` (a file, folder, archive or glob; any fsspec URL), from a bounded sample of them.

    `target`: the column to predict; label folders and IDX files need none. `text`: the one column to learn from, where it holds texts.
    `overrides` win, and what is guessed heeds them. ConfigError, SchemaError or NotFound where the data will not do.
    """
    wishes = _checked(overrides or {})
    with surrounded(StorageSection.model_validate(_section(wishes, "storage")).variables()):  # S3 is read there, too
        return _inferred(url, target, text, name, wishes)


def _inferred(url: str, target: str, text: str, name: str, wishes: Mapping[str, Any]) -> OwnData:
    data = _section(wishes, "data")
    if data.get("task") == "language_model" or data.get("format") == "documents":
        raise ConfigError(
            "data.task language_model: nothing is chosen for it by a look at the data; "
            "write a configuration, as deployments/configs/wikitext2.yaml is one, and run it with --config"
        )
    target = target or str(data.get("target", ""))
    found = look(url, str(data.get("format", "")).removeprefix("auto"), str(data.get("label_pattern", "")))
    named = [column for column in (target, text) if column]
    sample = sample_rows(found, named, data)
    if found.labels or found.format == "idx":
        chosen = choose_folders(found, sample, data)
    else:
        chosen = choose_columns(found, sample, target, text, data)
    if chosen.rows < FEWEST_ROWS:
        raise SchemaError(
            f"{hidden(url)}: found {chosen.rows} rows, wanted at least {FEWEST_ROWS} to learn from and to judge by; give more"
        )
    name = name or str(wishes.get("name") or model_name(url))
    values, why = _values(name, found, sample, chosen, wishes)
    values = merge(values, wishes)
    config = resolve(config=values)
    said = dict.fromkeys(_leaves(wishes), "As you said.")
    return OwnData(url, config, values, why | said, wording.told(hidden(url), config, chosen))


def keep(own: OwnData) -> str:
    """Write the commented YAML to the data root's folder `configs`; its path. A changed one of that name is kept under a number."""
    path = data_root() / "configs" / f"{own.config.name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    content = own.yaml()
    if path.exists() and path.read_text(encoding="utf-8") != content:
        number = next(n for n in range(1, 1_000_000) if not path.with_suffix(f".{n}.yaml").exists())
        path.rename(path.with_suffix(f".{number}.yaml"))
    path.write_text(content, encoding="utf-8")
    return str(path)


def _values(
    name: str, found: Found, sample: Sample, chosen: Chosen, wishes: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Values by section in the YAML's order, and reasons by dotted name."""
    validation, test = sizing.shares(chosen.rows)
    data = {**_data(found, sample, chosen), "validation_share": validation, "test_share": test}
    splits = chosen.shares
    shares = {**data, **_section(wishes, "data")}
    test_share = splits.get("test", float(shares["test_share"]))
    validation_share = splits.get("validation", float(shares["validation_share"]))
    rows = chosen.rows * max(0.05, 1 - test_share - validation_share)
    family = str(_section(wishes, "train").get("family") or FAMILIES[chosen.kind])
    evaluate, because = _evaluate(chosen, chosen.rows * test_share, str(_section(wishes, "evaluate").get("metric", "")))
    values: dict[str, Any] = {"name": name, "data": data}
    if chosen.kind == "text":
        values["transforms"] = {
            "vocabulary_size": sizing.vocabulary(rows),
            "max_tokens": sizing.max_tokens(chosen.tokens),
        }
    values["train"] = sizing.model(family, chosen.kind, rows, len(chosen.answers.classes))
    values["evaluate"] = evaluate
    return values, wording.reasons(found, chosen, family, rows, bool(splits)) | because


def _data(found: Found, sample: Sample, chosen: Chosen) -> dict[str, Any]:
    data: dict[str, Any] = {"root": found.root} if found.root else {}
    sources = [source.model_dump() for source in chosen.sources]
    data["sources"] = [
        {name: value for name, value in source.items() if value not in ("", "any")} for source in sources
    ]
    data |= {"format": found.format, "kind": chosen.kind, "task": chosen.answers.task, "target": chosen.answers.name}
    data |= {"encoding": sample.encoding} if sample.encoding != "auto" else {}
    csv: dict[str, Any] = {}
    if sample.dialect and found.format == "csv":
        csv["delimiter"] = sample.dialect.delimiter
    if sample.dialect and not sample.dialect.header:
        csv |= {"header": False, "columns": list(sample.dialect.columns)}
    if chosen.words:
        csv["missing"] = [*MISSING, *chosen.words]
    data |= {"csv": csv} if csv else {}
    data |= {"label_pattern": found.label_pattern} if found.label_pattern else {}
    data |= {"features": list(chosen.features)} if chosen.features else {}
    data |= {"columns": rules} if (rules := _rules(chosen)) else {}
    refused = chosen.answers.unanswered + chosen.answers.rare_share
    return data | ({"max_quarantined_share": min(1.0, round(refused + QUARANTINE_SHARE, 2))} if refused > 0.01 else {})


def _rules(chosen: Chosen) -> list[dict[str, Any]]:
    rules: list[dict[str, Any]] = [{"name": name, "type": kind} for name, kind in chosen.types.items()]
    if chosen.answers.rare and chosen.exact:
        classes = sorted(chosen.answers.classes)
        rules.append({"name": chosen.answers.name, "type": "category", "categories": classes})
    return rules


def _evaluate(chosen: Chosen, test_rows: float, wanted: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Metric, margin and minimum, and why. The minimum is what always giving the same answer gets, on the sample."""
    answers = chosen.answers
    if answers.task == "regression":
        minimum, margin = sizing.just_below(answers.deviation), sizing.rmse_margin(test_rows)
        return {"metric": "rmse", "margin": margin, "minimum": minimum}, wording.regression(answers, test_rows)
    _, share = answers.most_frequent
    metric = wanted or ("macro_f1" if share > sizing.IMBALANCED else "accuracy")
    margin = sizing.accuracy_margin(test_rows)
    if metric == "macro_f1":
        total = sum(answers.classes.values())
        margin = sizing.macro_f1_margin([test_rows * rows / total for rows in answers.classes.values()])
    constant = {"accuracy": share, "macro_f1": sizing.constant_macro_f1(share, len(answers.classes))}.get(metric)
    values: dict[str, Any] = {"metric": metric, "margin": margin}
    if constant is not None and share < 1:
        values["minimum"] = sizing.just_above(constant)
    return values, wording.classification(answers, metric, constant, test_rows)


def _checked(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """The overrides as sections. ConfigError for a field or value that no configuration could have, before anything is read."""
    wishes: dict[str, Any] = {}
    for dotted, value in overrides.items():
        wishes = merge(wishes, nest(dotted, value))
    wishes = with_contract(wishes)
    some = merge(
        {"name": "some", "data": {"sources": [{"url": "some"}], "kind": "table"}, "train": {"family": "mlp"}}, wishes
    )
    try:
        PipelineConfig.model_validate(some)
    except ValidationError as error:
        if error.errors()[0]["loc"]:  # else each field is right by itself, and the rest will suit it
            raise ConfigError(mistakes(error, some)) from None
    return wishes


def _section(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A section as far as the user has set it; what is no section is refused later, by name."""
    found = values.get(name)
    return found if isinstance(found, Mapping) else {}


def _leaves(values: Mapping[str, Any], path: str = "") -> list[str]:
    found: list[str] = []
    for name, value in values.items():
        dotted = f"{path}.{name}" if path else name
        found += _leaves(value, dotted) if isinstance(value, Mapping) and value else [dotted]
    return found
