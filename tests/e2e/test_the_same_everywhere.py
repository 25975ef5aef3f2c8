"""The same everywhere: one configuration gives equal keys and equal digests wherever rows, store, workers and code are."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from commands import ROOT, Ended, environment
from fault_proxy import FAULTS, Storm, fault_proxy
from killed import POINTS, write_rows
from odd_workers import odd
from real_s3 import RealS3

from storage.manifests import read_manifest
from storage.objects import ObjectStore, open_store
from storage.runs import read_run

MEASURED = "measure"  # what it finds differs from time to time, and so does the key of the one that takes it in:
ITS_HEIR = "choose"
DATA = {
    "format": "csv",
    "kind": "table",
    "target": "edible",
    "sources": [{"url": "in/*.csv"}],
    "test_share": 0.3,
    "validation_share": 0.2,
    "shard_rows": 100,
}
CHAIN = {
    "name": "mushrooms",
    "train": {"family": "mlp", "mlp": {"hidden": [32, 32]}, "epochs": 3, "batch_size": 32, "learning_rate": 0.02},
    "compress": {"recipes": [{"name": "small", "passes": [{"kind": "quantise", "calibration_rows": 32}]}]},
    "evaluate": {"resamples": 200, "margin": 0.15, "minimum": 0.7, "max_slowdown": 100},
    "cluster": {"workers": 1},
}
WITHOUT_CHECKOUT = """
import pathlib, sys
sys.path[:] = [folder for folder in sys.path if folder == {installed!r} or not pathlib.Path(folder, "flows").is_dir()]
"""


@dataclass(frozen=True)
class Place:
    """Where the chain is carried out. `home`: the working folder; `root`: of the rows; `said`: sections of the configuration that are
    of this place; `variables`: of the environment."""

    home: Path
    root: str
    said: dict[str, dict[str, Any]] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)


Made = dict[str, tuple[str, str]]
Carry = Callable[[Place], dict[str, Any]]


def made(place: Place, summary: dict[str, Any]) -> Made:
    """Key and output of each step, as far as they are the same for every run; of the release the artifact."""
    store = open_store(place.said.get("storage", {}).get("url") or str(place.home / ".millrace" / "store"))
    steps = {step["name"]: (step["key"], step["output"]) for step in read_run(store, summary["run_id"])["steps"]}
    del steps[MEASURED]
    steps[ITS_HEIR] = ("", steps[ITS_HEIR][1])
    steps["release"] = (steps["release"][0], summary["release"]["digest"])
    return steps


@pytest.fixture(scope="module")
def carry(millrace: Callable[..., Ended]) -> Carry:
    """Carries the chain out in a place and gives its summary."""

    def run(place: Place) -> dict[str, Any]:
        (place.home / "run.yaml").write_text(json.dumps({"data": {"root": place.root, **DATA}, **CHAIN, **place.said}))
        ended = millrace("run", "--config", "run.yaml", "--json", home=place.home, **place.variables)
        assert ended.code == 0, ended.err
        assert {step["state"] for step in ended.json["steps"]} == {"computed"}
        assert ended.json["release"]["version"] == 1
        return ended.json

    return run


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Mushrooms in three files of two shards each."""
    folder = tmp_path_factory.mktemp("rows")
    write_rows(folder)
    return folder


@pytest.fixture(scope="module")
def here(carry: Carry, rows: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """What is made from the checkout, by a local worker, on a local disk."""
    place = Place(tmp_path_factory.mktemp("here"), str(rows))
    return made(place, carry(place))


@pytest.fixture
def scheduler(rows: Path, tmp_path: Path) -> Iterator[Place]:
    """A scheduler by its address, with a worker."""
    with odd("", tmp_path) as section:
        yield Place(tmp_path, str(rows), {"cluster": {"address": section.address}})


@pytest.fixture
def wheel_alone(rows: Path, tmp_path: Path, installed: Path) -> Place:
    """Another folder, with an installed wheel and no checkout, for all processes."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(WITHOUT_CHECKOUT.format(installed=str(installed)))
    variables = {"PYTHONPATH": f"{tmp_path / 'site'}{os.pathsep}{installed}"}
    told = subprocess.run(
        [sys.executable, "-c", "import flows, sys; print(flows.__path__[0], *sys.path, sep='\\n')"],
        env=environment(tmp_path, **variables), cwd=tmp_path, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    assert told[0] == str(installed / "flows")
    assert str(ROOT) not in told
    return Place(tmp_path, str(rows), variables=variables)


@pytest.mark.parametrize("where", ["scheduler", "wheel_alone"])
def test_keys_and_digests_are_those_of_the_checkout_on_a_local_disk(
    where: str, carry: Carry, here: Made, request: pytest.FixtureRequest
):
    place = request.getfixturevalue(where)
    assert made(place, carry(place)) == here


def test_in_a_bucket_in_a_storm_of_faults_they_are_too_and_the_model_answers(
    carry: Carry, here: Made, rows: Path, real_s3: RealS3, tmp_path: Path, millrace: Callable[..., Ended]
):
    keys = real_s3.environment()
    del keys["AWS_ENDPOINT_URL"], keys["AWS_REGION"]  # the configuration tells them, to every process
    bucket = f"s3://{real_s3.bucket}"
    for file in sorted(rows.glob("in/*")):
        real_s3.client().upload_file(str(file), real_s3.bucket, f"in/{file.name}")
    with fault_proxy(real_s3.url) as proxy:
        storage = {"url": f"{bucket}/x", "endpoint": proxy.url, "region": "us-east-1"}
        hurried = {"SOAK_READ": "2", "SOAK_POINTS": str(tmp_path), "PYTHONPATH": f"{POINTS}{os.pathsep}{ROOT}"}
        place = Place(tmp_path, bucket, {"storage": storage}, {**keys, **hurried})
        proxy.storm = Storm(share=0.1, kinds=(*FAULTS, "slow", "stall"))
        summary = carry(place)
        assert sum(proxy.storm.hurt.values()) >= 20
        assert set(proxy.storm.hurt) == {*FAULTS, "slow", "stall"}
        assert made(place, summary) == here
        told = f"AWS_ENDPOINT_URL={proxy.url} "  # so that the command to serve it works as it stands
        assert told in Path(summary["report"]).read_text()
        (tmp_path / "items.json").write_text(json.dumps([{"size_cm": 25, "colour": "brown"}]))
        asked = millrace("predict", "mushrooms", "--input", "items.json", "--config", "run.yaml", home=tmp_path, **keys)
        assert asked.code == 0, asked.err
        assert asked.json["prediction"] == "yes"
        proxy.storm = None
        read_by_the_chain, read_by_the_summary = "choose", f"score {summary['compression']['recipe']}"
        for step in (read_by_the_chain, read_by_the_summary):
            _flip(real_s3, open_store(storage["url"]), summary["run_id"], step)
            again = millrace("run", "--config", "run.yaml", "--json", home=tmp_path, **keys)
            assert again.code == 0, again.err
            assert [one["name"] for one in again.json["steps"] if one["state"] == "computed"] == [step]
            assert made(place, again.json).items() <= here.items()


def _flip(real_s3: RealS3, store: ObjectStore, run_id: str, step: str) -> None:
    """Flip a bit of each file that this step made, in the bucket."""
    output = next(one["output"] for one in read_run(store, run_id)["steps"] if one["name"] == step)
    for blob in read_manifest(store, output).files.values():
        place = {"Bucket": real_s3.bucket, "Key": f"x/{blob.key}"}
        content = real_s3.client().get_object(**place)["Body"].read()
        real_s3.client().put_object(**place, Body=bytes([content[0] ^ 1]) + content[1:])
