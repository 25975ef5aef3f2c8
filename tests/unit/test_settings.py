"""The configuration: where it comes from, what wins, how a mistake is answered, and what of it is part of a key."""

import json
from pathlib import Path
from typing import Any, get_args

import pytest
from commands import ROOT
from fields import fields_of, models_in, with_passes

from flows.presets import PRESETS, preset_config
from flows.settings import PipelineConfig, dump_config, load_config, merge, parse_override, resolve
from storage.errors import ConfigError
from storage.keys import encode
from tasks.sections import Section
from tasks.sections.train import FamilyName

EXAMPLES = sorted((ROOT / "deployments" / "configs").glob("*.yaml"))
TREE_RECIPES = [{"name": "half", "passes": [{"kind": "truncate", "share": 0.25}]}]
RECIPES = [{"name": "half", "passes": [{"kind": "prune", "share": 0.25}, {"kind": "quantise"}]}]
NEVER_IN_KEY = {
    "release.approval.ask",
    "release.approval.hours",
    "data.sources.url",
    "data.root",
    "transforms.pin",
    "train.device",
    "train.checkpoint_every_steps",
    "train.on_other_conditions",
    "compress.parallel",
    "storage.url",
    "storage.endpoint",
    "storage.region",
    "storage.ca_file",
    "storage.encryption",
    "storage.kms_key",
    "storage.verify_share",
    "cluster.address",
    "cluster.workers",
    "cluster.max_workers",
    "cluster.memory_gib",
    "cluster.tls_ca",
    "cluster.tls_cert",
    "cluster.tls_key",
    "cluster.image",
    "cluster.namespace",
    "cluster.cpus",
    "cluster.secret",
    "data.sources.version",
    "transforms.tokenizer",
}


def leaves(value: Any, above: str = "") -> set[str]:
    """The dotted names in plain data; items of a list share their names."""
    if isinstance(value, dict) and value:
        return {leaf for name, item in value.items() for leaf in leaves(item, f"{above}.{name}" if above else name)}
    if isinstance(value, list | tuple) and any(isinstance(item, dict) for item in value):
        return {leaf for item in value for leaf in leaves(item, above)}
    return {above}


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_resolves_to_itself(name: str):
    assert resolve(name) == preset_config(name)
    assert resolve(name).name == name


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_config_is_whole_and_valid(path: Path):
    assert resolve(config=load_config(str(path))).name == path.stem


def test_there_are_example_configs_for_every_kind_of_data():
    named = {"adult", "california_housing", "chnsenticorp", "fashion_mnist", "fsdd", "imdb"}
    assert named <= {path.stem for path in EXAMPLES}
    assert {resolve(config=load_config(str(path))).data.kind for path in EXAMPLES} == {
        "table",
        "text",
        "image",
        "audio",
    }


def test_one_nested_value_is_changed_and_the_rest_is_kept():
    before, after = preset_config("breast_cancer"), resolve("breast_cancer", None, {"train.mlp.dropout": 0.3})
    assert after.train.mlp.dropout == 0.3
    assert after.train.mlp.hidden == before.train.mlp.hidden == (128, 128)
    back = merge(after.model_dump(), {"train": {"mlp": {"dropout": before.train.mlp.dropout}}})
    assert PipelineConfig.model_validate(back) == before


def test_overrides_win_over_config_and_config_over_preset():
    config = {"train": {"epochs": 7, "batch_size": 16}}
    train = resolve("digits", config, {"train.epochs": 3}).train
    assert (train.epochs, train.batch_size, train.learning_rate) == (3, 16, preset_config("digits").train.learning_rate)


def test_of_two_overrides_the_later_one_wins_and_a_list_is_replaced_whole():
    first, second = parse_override("train.epochs=3"), parse_override("train.cnn.channels=[8]")
    assert resolve("digits", None, dict([first, second, ("train.epochs", 5)])).train.epochs == 5
    assert resolve("digits", None, dict([first, second])).train.cnn.channels == (8,)


def test_neither_config_nor_overrides_are_changed_by_resolving():
    config, overrides = {"train": {"epochs": 7}}, {"train.cnn.hidden": 9, "train.seed": 1}
    resolve("digits", config, overrides)
    assert (config, overrides) == ({"train": {"epochs": 7}}, {"train.cnn.hidden": 9, "train.seed": 1})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("train.epochs=3", 3),
        ("data.csv.header=false", False),
        ("data.csv.delimiter='='", "="),
        ("data.features=[a, b]", ["a", "b"]),
        ("evaluate.minimum=null", None),
        ("compress.recipes=[{name: int8, passes: [{kind: quantise}]}]", [{"name": "int8", "passes": [{"kind": "quantise"}]}]),
    ],
)  # fmt: skip
def test_the_value_of_an_override_is_yaml(text: str, value: Any):
    assert parse_override(text) == (text.partition("=")[0], value)


@pytest.mark.parametrize("text", ["train.epochs", "train.features=[a", ""])
def test_an_override_that_cannot_be_read_is_refused_by_name(text: str):
    with pytest.raises(ConfigError, match="--set") as caught:
        parse_override(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize("name", [*PRESETS, *(path.stem for path in EXAMPLES)])
def test_a_configuration_survives_yaml(name: str, tmp_path: Path):
    example = ROOT / "deployments" / "configs" / f"{name}.yaml"
    config = preset_config(name) if name in PRESETS else resolve(config=load_config(str(example)))
    config = resolve(
        config=config.model_dump(mode="json"),
        overrides={"compress.recipes": TREE_RECIPES if config.train.family == "sklearn" else RECIPES},
    )
    (tmp_path / "config.yaml").write_text(dump_config(config), encoding="utf-8")
    assert resolve(config=load_config(str(tmp_path / "config.yaml"))) == config


@pytest.mark.parametrize("source", [*PRESETS, *(path.name for path in EXAMPLES), "nothing but what must be said"])
def test_a_configuration_gives_the_same_keys_in_the_process_that_it_is_handed_to(source: str):
    """A default of 0 for a number that may have decimals is 0.0 once it was written and read: no other key."""
    least = {"name": "least", "data": {"sources": [{"url": "a.csv"}], "kind": "table"}, "train": {"family": "mlp"}}
    example = {path.name: path for path in EXAMPLES}.get(source)
    preset = source if source in PRESETS else None
    here = resolve(preset, None if preset else load_config(str(example)) if example else least)
    there = PipelineConfig.model_validate(json.loads(json.dumps(here.model_dump(mode="json"))))
    assert encode(here.key_fields()) == encode(there.key_fields())


def test_a_partial_file_over_a_preset_changes_only_what_it_says(tmp_path: Path):
    (tmp_path / "partial.yaml").write_text("train: {epochs: 2}\n")
    resolved = resolve("digits", load_config(str(tmp_path / "partial.yaml")))
    assert resolved == resolve("digits", None, {"train.epochs": 2})


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"- a\n- b\n", "list"), (b"", "NoneType"), (b"train: [1\n", "line 2"), (b"\xff\xfe\xff", "no valid YAML")],
)
def test_a_file_that_is_no_configuration_is_refused_by_name(content: bytes, said: str, tmp_path: Path):
    path = tmp_path / "broken.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"broken\.yaml") as caught:
        load_config(str(path))
    assert said in str(caught.value)


def test_a_missing_file_is_refused_by_name(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"absent\.yaml.*No such file"):
        load_config(str(tmp_path / "absent.yaml"))


def test_a_configuration_cannot_be_changed_once_it_is_made():
    config = preset_config("digits")
    with pytest.raises(ValueError, match="frozen"):
        config.train.epochs = 3  # pyright: ignore[reportAttributeAccessIssue]


def test_exactly_what_does_not_decide_the_result_is_left_out_of_the_key():
    config = resolve("digits", with_passes({"kind": "prune"}, {"kind": "distil"}, {"kind": "quantise"}))
    others = tuple(f"train.{family}" for family in get_args(FamilyName) if family != "cnn")
    every = {name for name in leaves(config.model_dump(mode="json")) if not name.startswith(others)}
    assert every - leaves(config.key_fields()) == NEVER_IN_KEY


@pytest.mark.parametrize("field", sorted(NEVER_IN_KEY - {"data.sources.url", "data.sources.version", "train.device"}))
def test_a_setting_that_does_not_decide_the_result_changes_no_key(field: str):
    values: dict[str, Any] = {
        "data.root": "s3://bucket",
        "storage.url": "elsewhere",
        "storage.endpoint": "https://s3.example.org",
        "storage.region": "eu-central-1",
        "storage.ca_file": "ca.pem",
        "storage.encryption": "sse-kms",
        "storage.kms_key": "mine",
        "storage.verify_share": 0.5,
        "cluster.address": "cuda",
        "transforms.pin": "champion",
        "transforms.tokenizer": "tokenizer.json",
        "release.approval.ask": True,
        "train.on_other_conditions": "restart",
        **dict.fromkeys(
            (f"cluster.{n}" for n in ("tls_ca", "tls_cert", "tls_key", "image", "namespace", "secret")), "b"
        ),
    }
    more = {"storage.encryption": "sse-kms"} if field == "storage.kms_key" else {}
    assert (
        resolve("digits", None, {**more, field: values.get(field, 7)}).key_fields()
        == preset_config("digits").key_fields()
    )


def test_the_options_of_other_families_change_no_key_and_the_own_ones_do():
    train = preset_config("digits").train
    assert resolve("digits", None, {"train.mlp.hidden": [5]}).train.key_fields() == train.key_fields()
    assert resolve("digits", None, {"train.resnet.blocks": 5}).train.key_fields() == train.key_fields()
    assert resolve("digits", None, {"train.cnn.hidden": 5}).train.key_fields() != train.key_fields()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("data.test_share", 0.31),
        ("data.split_seed", 1),
        ("data.csv.missing", ["-"]),
        ("data.sources", [{"url": "digits", "split": "train"}]),
        ("transforms.scaling", "none"),
        ("train.seed", 1),
        ("train.threads", 2),
        ("train.augment.flip", True),
        ("train.epochs", 14),
        ("compress.recipes", [{"name": "int8", "passes": [{"kind": "quantise"}]}]),
        ("evaluate.margin", 0.03),
        ("release.alias", "stable"),
    ],
)
def test_a_setting_that_decides_the_result_changes_the_key(field: str, value: Any):
    assert resolve("digits", None, {field: value}).key_fields() != preset_config("digits").key_fields()


def test_a_configuration_has_the_same_key_after_a_journey_as_json():
    """A whole number for a fraction is another value in a key: a plan reads a file, its run is handed JSON."""
    config = PipelineConfig.model_validate(
        {"name": "mine", "data": {"kind": "audio", "sources": [{"url": "a"}]}, "train": {"family": "cnn"}}
    )
    again = PipelineConfig.model_validate(config.model_dump(mode="json"))
    assert encode(again.key_fields()) == encode(config.key_fields())


def test_every_field_of_every_section_says_what_it_means():
    silent = [name for name, field in fields_of(PipelineConfig) if not (field.description or "").strip()]
    assert silent == []


def test_every_section_is_frozen_and_refuses_unknown_fields():
    sections = {PipelineConfig, *(m for _, field in fields_of(PipelineConfig) for m in models_in(field.annotation))}
    assert len(sections) > 15
    for section in sections:
        assert issubclass(section, Section)
        assert (section.model_config.get("frozen"), section.model_config.get("extra")) == (True, "forbid")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_a_configuration_has_the_same_key_however_it_came_here(path: Path):
    config = resolve(None, load_config(str(path)))
    travelled = PipelineConfig.model_validate(json.loads(config.model_dump_json()))
    assert encode(travelled.key_fields()) == encode(config.key_fields())
