"""The whole chain with a key: the model is made, released, served and checked, and the store shows nothing of it to who has no key."""

import base64
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from commands import Ended

from storage.blobs import read_blob
from storage.encryption import MAGIC
from storage.manifests import read_manifest
from storage.master_keys import KEY, OLD
from storage.objects import ObjectStore, open_store
from storage.registry import open_registry

Command = Callable[..., Ended]
ONE, TWO = (base64.b64encode(random.Random(seed).randbytes(32)).decode() for seed in (1, 2))
RUN = ("run", "--config", "run.yaml", "--json")
WINDOW = 32
CONFIG = """
name: mushrooms
data:
  format: csv
  kind: table
  target: edible
  sources: [{url: rows.csv}]
  validation_share: 0.2
  test_share: 0.3
train: {family: mlp, mlp: {hidden: [64, 64]}, epochs: 3, batch_size: 32, learning_rate: 0.02}
compress: {recipes: [{name: small, passes: [{kind: prune, share: 0.25}]}]}
evaluate: {resamples: 200, margin: 0.15, minimum: 0.6}
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, draw = tmp_path_factory.mktemp("home"), random.Random(0)
    made = [(round(draw.uniform(1, 30), 2), draw.choice(["red", "brown"])) for _ in range(400)]
    rows = [f"{size},{colour},{'yes' if colour == 'brown' and size > 12 else 'no'}" for size, colour in made]
    (folder / "rows.csv").write_text("\n".join(["size_cm,colour,edible", *rows]) + "\n")
    (folder / "run.yaml").write_text(CONFIG)
    (folder / "items.json").write_text('[{"size_cm": 25.0, "colour": "brown"}]')
    return folder


@pytest.fixture(scope="module")
def first(millrace: Command, home: Path) -> dict:
    ended = millrace(*RUN, home=home, **{KEY: ONE})
    assert ended.code == 0, ended.err
    return ended.json


@pytest.fixture
def store(first: dict, home: Path, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    monkeypatch.setenv(KEY, ONE)
    return open_store(str(home / ".millrace" / "store"))


def files_of(store: ObjectStore) -> Iterator[tuple[str, bytes]]:
    """The files of the released artifact and of its release, as they are."""
    champion = open_registry(store.url).alias("mushrooms", "champion")
    assert champion
    for digest in (champion.artifact, champion.release):
        for name, blob in read_manifest(store, digest).files.items():
            yield name, read_blob(store, blob)


def test_the_store_shows_nothing_of_the_model(store: ObjectStore):
    kept = {key: store.get(key) for key, _ in store.list("")}
    assert {content[: len(MAGIC)] for key, content in kept.items() if key.startswith(("blobs/", "shards/"))} == {MAGIC}
    files = dict(files_of(store))
    assert {"model.onnx", "golden.json"} <= set(files)
    whole = b"\0".join(kept.values())
    for name, content in files.items():
        places = range(0, len(content) - WINDOW, WINDOW) if len(content) > 4 * WINDOW else ()
        assert [place for place in places if content[place : place + WINDOW] in whole] == [], name


def test_nothing_decrypted_is_left_behind_beside_the_store(store: ObjectStore, home: Path):
    left = [path for path in (home / ".millrace").rglob("*") if path.is_file() and "store" not in path.parts]
    model = dict(files_of(store))["model.onnx"]
    assert [path for path in left if model[100:164] in path.read_bytes()] == []
    assert [path for path in left if path.suffix in (".onnx", ".npy", ".safetensors", ".parquet")] == []


def test_everything_is_found_again_verified_and_used(first: dict, millrace: Command, home: Path):
    key = {KEY: ONE}
    again = millrace(*RUN, "--verify", home=home, **key)
    assert {step["state"] for step in again.json["steps"]} == {"cached"}
    verified = millrace("verify", "--json", home=home, **key)
    assert (verified.code, verified.json["problems"]) == (0, [])
    predicted = millrace("predict", "mushrooms", "--input", "items.json", home=home, **key)
    assert predicted.json["prediction"] == "yes"
    assert millrace("gc", "--json", home=home, **key).code == 0


def test_with_a_new_key_and_the_old_one_beside_it_everything_goes_on(first: dict, millrace: Command, home: Path):
    keys = {KEY: TWO, OLD: ONE}
    assert {step["state"] for step in millrace(*RUN, home=home, **keys).json["steps"]} == {"cached"}


@pytest.mark.parametrize("key", [{}, {KEY: TWO}], ids=["none", "another"])
@pytest.mark.parametrize(
    "command", [RUN, ("predict", "mushrooms", "--input", "items.json"), ("verify",)], ids=lambda command: command[0]
)
def test_without_its_key_every_command_says_in_one_line_what_to_set(
    first: dict, millrace: Command, home: Path, key: dict[str, str], command: tuple[str, ...]
):
    ended = millrace(*command, home=home, **key)
    last = ended.err.strip().splitlines()[-1]
    assert ended.code == 2, ended.err
    assert f"set {KEY}" in last
    assert "Traceback" not in ended.err


def test_no_key_is_in_the_store_or_in_what_was_said(first: dict, millrace: Command, home: Path):
    ended = millrace("predict", "mushrooms", "--input", "items.json", home=home, **{KEY: TWO})
    assert ONE not in json.dumps(first)
    assert TWO not in ended.err + ended.out
    raw = base64.b64decode(ONE)
    for path in (home / ".millrace").rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert ONE.encode() not in content, path
            assert raw not in content, path
