"""A run made again from its own stored source in an empty folder: every digest is equal, or the first step that diverges is named."""

import csv
import io
import json
import random
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard
from commands import Ended

from storage.blobs import Blob, put_blob, read_blob
from storage.objects import ObjectStore, open_store
from storage.runs import list_runs, put_run, read_run
from storage.snapshots import SUFFIX

Command = Callable[..., Ended]
HALF = [{"name": "half", "passes": [{"kind": "truncate"}]}]
SETTINGS = {"train.sklearn.iterations": 20, "evaluate.margin": 0.15, "compress.recipes": HALF}
OPTIONS = [part for name, value in SETTINGS.items() for part in ("--set", f"{name}={json.dumps(value)}")]
TRAINER = "tasks/estimators/trainer.py"
FITTED = "        estimator, history = fit(section, task, training, validation, emit)\n"
OTHER = (
    "        section = section.model_copy(update={'sklearn': section.sklearn.model_copy(update={'iterations': 10})})\n"
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, draw = tmp_path_factory.mktemp("again"), random.Random(1)
    with (folder / "mushrooms.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["size_cm", "colour", "edible"])
        for _ in range(600):
            size, colour = round(draw.uniform(1, 30), 2), draw.choice(["red", "brown", "white"])
            rows.writerow([size, colour, "yes" if colour != "red" and size > 12 else "no"])
    return folder


@pytest.fixture(scope="module")
def store(home: Path, millrace: Command) -> ObjectStore:
    """The store with the one run that is made again."""
    ended = millrace("run", "mushrooms.csv", "--target", "edible", "--json", *OPTIONS, home=home)
    assert ended.code == 0, ended.err
    return open_store(str(home / ".millrace" / "store"))


@pytest.fixture
def run(store: ObjectStore) -> dict[str, Any]:
    return read_run(store, list_runs(store)[-1])


def altered(store: ObjectStore, run: dict[str, Any], run_id: str, **more: Any) -> str:
    """The same manifest under another id, with changes."""
    put_run(store, run_id, {**run, **more})
    return run_id


def with_line(store: ObjectStore, source: dict[str, Any], line: str) -> Blob:
    """The run's source with one more line before the model is fitted."""
    before = io.BytesIO(zstandard.ZstdDecompressor().decompressobj().decompress(read_blob(store, Blob(**source))))
    after = io.BytesIO()
    with tarfile.open(fileobj=before) as old, tarfile.open(fileobj=after, mode="w") as new:
        for member in old:
            content = (old.extractfile(member) or io.BytesIO()).read()
            if member.name == TRAINER:
                assert content.count(FITTED.encode()) == 1
                content = content.replace(FITTED.encode(), line.encode() + FITTED.encode())
            member.size = len(content)
            new.addfile(member, io.BytesIO(content))
    return put_blob(store, zstandard.compress(after.getvalue()), SUFFIX)


def test_a_run_made_again_gives_equal_digests(store: ObjectStore, run: dict[str, Any], home: Path, millrace: Command):
    ended = millrace("reproduce", "last", "--json", home=home)
    assert ended.code == 0, ended.err
    steps = {step["name"]: step["output"] for step in run["steps"]}
    compared = {step["name"]: step["found"] for step in ended.json["steps"]}
    left_out = set(ended.json["not_compared"])
    assert {"prepare", "fit", "encode", "train", "compress fp32", "compress half", "score half"} <= set(compared)
    assert left_out == {"measure", "choose", "judge", "release"}
    assert compared == {name: digest for name, digest in steps.items() if name not in left_out}
    assert (ended.json["reproduced"], ended.json["diverged"], ended.json["why"]) == (True, None, [])
    for line in ("1 files, as they were", "libraries as they were", "✓ train", "computed"):
        assert line in ended.err, ended.err
    assert list_runs(store) == [run["run_id"]]
    assert not any((home / ".millrace" / "work" / "scratch").iterdir())


def test_after_a_changed_line_in_the_stored_training_code_the_training_step_is_named(
    store: ObjectStore, run: dict[str, Any], home: Path, millrace: Command
):
    source = with_line(store, run["source"], OTHER)
    run_id = altered(store, run, "20260131-235959-0a1b2c3d", source=vars(source))
    ended = millrace("reproduce", run_id, "--keep", home=home)
    assert ended.code == 1, ended.err
    steps = {step["name"]: step["output"] for step in run["steps"]}
    (kept,) = (home / ".millrace" / "work" / "reproduced").iterdir()
    again = open_store(str(kept / "root" / "store"))
    found = {step["name"]: step["output"] for step in read_run(again, list_runs(again)[0])["steps"]}
    for line in (
        f"✓ encode                           {steps['encode'][:12]}\n",
        f"✗ train                            {steps['train'][:12]} → {found['train'][:12]}\n",
        f"diverged at train: recorded {steps['train']}, found {found['train']}\n  - code tasks.estimators.trainer:train changed\n",
        f"kept in {kept}\n",
    ):
        assert line in ended.out, ended.out
    assert OTHER in (kept / "source" / TRAINER).read_text()
    store.delete(f"runs/{run_id}.json")


def test_data_that_are_not_what_they_were_are_named_before_anything_runs(
    store: ObjectStore, run: dict[str, Any], home: Path, millrace: Command
):
    path = home / "mushrooms.csv"
    before = path.read_bytes()
    try:
        path.write_bytes(before.replace(b",red,", b",brown,", 1))
        ended = millrace("reproduce", "last", home=home)
        assert ended.code == 1
        assert "its data are not what they were: source mushrooms.csv: changed; put back the files" in ended.err
        path.unlink()
        ended = millrace("reproduce", "last", home=home)
        assert ended.code == 1
        assert "mushrooms.csv" in ended.err
    finally:
        path.write_bytes(before)
    assert "✓" not in ended.err


def test_other_libraries_are_named_with_what_to_do(
    store: ObjectStore, run: dict[str, Any], home: Path, millrace: Command
):
    libraries = {**run["environment"]["libraries"], "numpy": "1.0.0", "never-heard-of": "3"}
    environment = {**run["environment"], "python": "3.8.1", "libraries": libraries}
    run_id = altered(store, run, "20260131-235959-0a1b2c3d", environment=environment)
    ended = millrace("reproduce", run_id, home=home)
    assert ended.code == 2
    for part in (
        "Python 3.8.1 → 3.",
        "numpy 1.0.0 → ",
        "never-heard-of 3 → not installed",
        "--environment new",
        "--environment same",
    ):
        assert part in ended.err, ended.err
    store.delete(f"runs/{run_id}.json")


def test_a_run_under_pinned_transforms_takes_them_along(home: Path, store: ObjectStore, millrace: Command):
    pinned = ("--set", "transforms.pin=champion", "--set", "train.sklearn.iterations=10")
    ended = millrace("run", "mushrooms.csv", "--target", "edible", "--json", *OPTIONS, *pinned, home=home)
    assert ended.code in (0, 3), ended.err
    again = millrace("reproduce", ended.json["run_id"], "--json", home=home)
    assert (again.code, again.json["diverged"]) == (0, None), again.err
    assert {"fit", "encode", "train"} <= {step["name"] for step in again.json["steps"]}
