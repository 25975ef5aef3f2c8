"""A stage's flow run by itself, in a process of its own: it gives refs, and the next stage finds them cached."""

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from commands import environment

from storage.manifests import read_manifest
from storage.objects import open_store

OVERRIDES = {"train.epochs": 2, "train.mlp.hidden": [8]}
SCRIPT = """
import dataclasses, importlib, json, sys
from storage.refs import Ref
from tasks.progress import listen

def told(value):
    if isinstance(value, Ref):
        return {"type": type(value).__name__, "uri": value.uri, "digest": value.digest}
    return {field.name: told(getattr(value, field.name)) for field in dataclasses.fields(value)}

if __name__ == "__main__":
    module, name, arguments = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    steps = {}
    listen(lambda event: event.get("event") in ("computed", "cached") and steps.update({event["stage"]: event["event"]}))
    output = getattr(importlib.import_module(module), name)(**arguments)
    print("TOLD " + json.dumps({"output": told(output), "steps": steps}))
"""
Stage = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def stage(prefect_api: str, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """`stage("prepare_data", **parameters)`: the refs that the flow gave, and the state of each of its steps."""
    home = tmp_path_factory.mktemp("stages")
    script = home / "stage.py"
    script.write_text(SCRIPT)

    def run(name: str, **parameters: Any) -> dict[str, Any]:
        ended = subprocess.run(
            [sys.executable, str(script), f"flows.{name}", name, json.dumps(parameters)],
            cwd=home,
            env=environment(home / ".millrace", PREFECT_API_URL=prefect_api, PREFECT_HOME=str(home / "prefect")),
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout.rpartition("TOLD ")[2])

    return run


@pytest.fixture(scope="module")
def prepared(stage: Stage) -> dict[str, Any]:
    return stage("prepare_data", preset="breast_cancer", overrides=OVERRIDES)


@pytest.fixture(scope="module")
def trained(stage: Stage, prepared: dict[str, Any]) -> dict[str, Any]:
    return stage("train_model", preset="breast_cancer", overrides=OVERRIDES)


def test_prepare_by_itself_gives_refs_to_what_it_stored(prepared: dict[str, Any]):
    assert prepared["steps"] == {"prepare": "computed", "fit": "computed", "encode": "computed"}
    assert {name: ref["type"] for name, ref in prepared["output"].items()} == {
        "dataset": "DatasetRef",
        "transforms": "TransformsRef",
        "features": "FeaturesRef",
    }
    dataset = prepared["output"]["dataset"]
    meta = read_manifest(open_store(dataset["uri"]), dataset["digest"]).meta
    assert meta["rows_in"] == meta["rows_out"] == sum(meta["splits"].values()) == 569


def test_train_by_itself_finds_the_prepared_data_cached(trained: dict[str, Any], prepared: dict[str, Any]):
    assert trained["steps"] == {"prepare": "cached", "fit": "cached", "encode": "cached", "train": "computed"}
    model = trained["output"]
    assert model["type"] == "ModelRef"
    meta = read_manifest(open_store(model["uri"]), model["digest"]).meta
    assert (meta["family"], meta["features"]) == ("mlp", prepared["output"]["features"]["digest"])


def test_train_again_computes_nothing_and_gives_the_same_ref(stage: Stage, trained: dict[str, Any]):
    again = stage("train_model", preset="breast_cancer", overrides=OVERRIDES)
    assert set(again["steps"].values()) == {"cached"}
    assert again["output"] == trained["output"]


def test_a_changed_training_setting_trains_again_on_the_same_prepared_data(stage: Stage, trained: dict[str, Any]):
    other = stage("train_model", preset="breast_cancer", overrides={**OVERRIDES, "train.seed": 1})
    assert other["steps"] == {**trained["steps"], "train": "computed"}
    assert other["output"]["digest"] != trained["output"]["digest"]
