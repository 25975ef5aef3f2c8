"""A configuration that cannot be used: the mistake is named with its field, its value, what is wanted and the nearest right name."""

from pathlib import Path
from typing import Any

import pytest
from fields import fields_of, with_passes

from flows.presets import PRESETS
from flows.settings import PipelineConfig, load_storage, resolve
from storage.errors import ConfigError

TABLE = {
    "name": "own",
    "data": {"sources": [{"url": "rows.csv"}], "kind": "table"},
    "train": {"family": "mlp"},
}
REGRESSION = {"data.task": "regression", "evaluate.metric": "rmse"}
IMAGE = {"data.kind": "image", "train.family": "resnet"}
LSTM_STATIC = {"compress.recipes": [{"name": "a", "passes": [{"kind": "quantise", "mode": "static"}]}]}


def mistake(preset: str | None = "digits", config: dict | None = None, **overrides: Any) -> str:
    """What is said about a configuration that cannot be used; `train__epochs=0` stands for train.epochs=0."""
    with pytest.raises(ConfigError) as caught:
        resolve(preset, config, {name.replace("__", "."): value for name, value in overrides.items()})
    return str(caught.value)


def test_a_mistyped_preset_is_answered_with_the_nearest_one():
    assert "preset 'digitz'" in mistake("digitz")
    assert "did you mean 'digits'?" in mistake("digitz")
    assert ", ".join(PRESETS) in mistake("xxxxxxxx")


def test_nothing_to_run_is_a_mistake_that_says_where_to_look():
    assert "millrace presets" in mistake(None)


@pytest.mark.parametrize(
    ("field", "value", "wanted"),
    [
        ("train.epochs", 0, "greater than or equal to 1"),
        ("train.epochs", "many", "integer"),
        ("train.family", "cnnn", "'mlp', 'cnn', 'resnet', 'textcnn', 'lstm', 'transformer', 'gpt' or 'sklearn'"),
        ("train.learning_rate", 11, "less than or equal to 10"),
        ("train.mlp.dropout", 1.0, "less than 1"),
        ("data.validation_share", -0.1, "greater than or equal to 0"),
        ("data.csv.delimiter", ";;", "at most 1 character"),
        ("evaluate.margin", 0, "greater than 0"),
        ("evaluate.confidence", 0.5, "greater than 0.5"),
        ("name", "Bad Name", "a text that matches"),
        ("train.sklearn.iterations", 10_001, "less than or equal to 10000"),
    ],
)
def test_a_value_that_is_not_allowed_is_named_with_its_field_and_what_is_allowed(field: str, value: Any, wanted: str):
    said = mistake(**{field.replace(".", "__"): value})
    assert said.startswith(f"config {field}: found ")
    assert str(value) in said
    assert wanted in said
    assert dict(fields_of(PipelineConfig))[field].description in said


@pytest.mark.parametrize(
    ("field", "near"),
    [
        ("trian", "train"),
        ("train.epoch", "epochs"),
        ("train.cnn.chanels", "channels"),
        ("train.sklearn.iteration", "iterations"),
        ("data.csv.delimeter", "delimiter"),
        ("storage.uri", "url"),
        ("cluster.adress", "address"),
    ],
)
def test_a_mistyped_field_is_answered_with_the_nearest_right_name(field: str, near: str):
    said = mistake(**{field.replace(".", "__"): "x"})
    assert f"config {field}: found" in said
    assert "no such field" in said
    assert f"did you mean {near!r}?" in said


def test_a_mistake_in_a_pass_of_a_recipe_is_named_where_it_lies():
    two = with_passes({"kind": "prune"}, {"kind": "quantise", "calibration_row": 2})
    said = mistake(config=two)
    assert "compress.recipes.0.passes.1" in said
    assert "did you mean 'calibration_rows'?" in said
    said = mistake(config=with_passes({"kind": "distil", "temperature": -1}))
    assert "compress.recipes.0.passes.0" in said
    assert "temperature: found -1, wanted greater than 0; Softens both distributions" in said
    assert "did you mean 'passes'?" in mistake(compress__recipes=[{"name": "mine", "pases": []}])


def test_a_mistake_in_one_of_several_sources_or_columns_is_named_where_it_lies():
    assert "data.sources.1.split: found \"tests\", wanted 'any'" in mistake(
        data__sources=[{"url": "a"}, {"url": "b", "split": "tests"}]
    )
    assert "data.columns.0.type: found \"numbr\", wanted 'integer', 'number'" in mistake(
        data__columns=[{"name": "age", "type": "numbr"}]
    )


def test_a_mistyped_kind_of_pass_is_answered_with_the_nearest_one():
    said = mistake(config=with_passes({"kind": "prun"}))
    assert "compress.recipes.0.passes.0" in said
    assert "'truncate'" in said
    assert "did you mean 'prune'?" in said


def test_all_mistakes_are_named_at_once_one_a_line():
    lines = mistake(train__epochs=0, train__family="x", data__csv__heder=True).splitlines()
    assert len(lines) == 3
    assert all(line.startswith("config ") for line in lines)


def test_what_is_missing_is_named_with_its_meaning():
    said = mistake(None, {"name": "own", "data": {"kind": "table"}, "train": {}})
    assert "config data.sources: missing; Where the rows come from" in said
    assert "config train.family: missing; Which model" in said


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"data.kind": "image", "train.family": "sklearn"}, "wanted cnn or resnet or mlp"),
        ({"data.kind": "image", "train.family": "lstm"}, "wanted cnn or resnet or mlp"),
        ({"data.kind": "text"}, "wanted textcnn or lstm or transformer"),
        ({"train.family": "cnn"}, "wanted mlp or sklearn"),
        ({"evaluate.metric": "rmse"}, "wanted accuracy, macro_f1 or log_loss"),
        ({"data.task": "regression"}, "wanted rmse"),
        ({"train.loss": "mse"}, "train.loss is 'mse' for classification; wanted auto, cross_entropy or bce"),
        ({**REGRESSION, "train.loss": "bce"}, "train.loss is 'bce' for regression; wanted auto or mse"),
        ({**REGRESSION, "train.label_smoothing": 0.1}, "wanted 0, there are no labels"),
        ({"train.family": "sklearn", "train.l2": 0.1}, "train.l2 is set for family sklearn; it is for networks"),
        ({"train.augment.flip": True}, "train.augment.flip is set for data.kind 'table'; it is for image alone"),
        ({**IMAGE, "train.augment.mask_bands": 3}, "it is for audio alone"),
        ({"train.transformer.width": 30}, "width is 30 for 4 heads; wanted a multiple of 4"),
        ({**LSTM_STATIC, "data.kind": "text", "train.family": "lstm"}, "for an lstm; wanted 'weights'"),
        ({"data.task": "language_model"}, "wanted bits_per_byte or perplexity"),
        ({"data.task": "language_model", "evaluate.metric": "perplexity"}, "data.kind is 'table'"),
        ({"data.kind": "text", "data.task": "language_model", "evaluate.metric": "perplexity"}, "wanted gpt"),
        ({"data.kind": "text", "train.family": "gpt"}, "wanted textcnn"),
        ({"data.kind": "text", "train.family": "textcnn", "data.format": "documents"}, "wanted language_model"),
        ({"train.gpt.width": 100, "train.gpt.heads": 8}, "100 is no multiple of 2 × 8 heads"),
        ({"data.validation_share": 0.6, "data.test_share": 0.5}, "wanted less than 1"),
        ({"compress.recipes": [{"name": "a", "passes": [{"kind": "prune"}]}] * 2}, "wanted each once"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_settings_that_do_not_fit_together_are_refused_before_any_work(overrides: dict[str, Any], said: str):
    with pytest.raises(ConfigError) as caught:
        resolve(config=TABLE, overrides=overrides)
    assert said in str(caught.value)


def test_settings_that_fit_together_are_taken():
    for overrides in (
        {"train.family": "sklearn"},
        {"data.kind": "image", "train.family": "mlp"},
        {**IMAGE, "train.augment.flip": True, "train.label_smoothing": 0.1, "train.loss": "bce"},
        {**REGRESSION, "train.loss": "mse", "train.optimizer": "gd"},
        {"data.kind": "text", "train.family": "transformer", "train.transformer.positions": "rotary"},
        {"data.kind": "text", "train.family": "textcnn"},
        {"data.task": "regression", "evaluate.metric": "rmse"},
        {
            "data.kind": "text",
            "data.task": "language_model",
            "train.family": "gpt",
            "evaluate.metric": "bits_per_byte",
        },
    ):
        assert resolve(config=TABLE, overrides=overrides)


def test_of_many_mistakes_in_a_files_storage_section_the_first_are_shown(tmp_path: Path):
    (tmp_path / "c.yaml").write_text("storage: {a: 1, b: 2, c: 3, d: 4, e: 5, f: 6}")
    with pytest.raises(ConfigError) as caught:
        load_storage(str(tmp_path / "c.yaml"))
    assert len(str(caught.value).splitlines()) == 5
