"""How much is known is told without doing anything: what a plan says of shards, a run then does."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tables import section

from storage.manifests import put_files
from storage.objects import ObjectStore, open_store
from tasks.frames.encoding import encode
from tasks.frames.fitting import fit_transforms
from tasks.frames.identity import identified, source_identity
from tasks.frames.prepare import prepare_dataset
from tasks.frames.shelved import here
from tasks.frames.states import ShardStates, encode_states, shard_states
from tasks.sections import DataSection, TransformsSection


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    monkeypatch.setenv("MILLRACE_ROOT", str(tmp_path / "root"))
    return open_store(str(tmp_path / "store"))


@pytest.fixture
def data(tmp_path: Path) -> DataSection:
    (tmp_path / "in").mkdir()
    for number in range(6):
        write(tmp_path / "in" / f"{number}.csv", number)
    return section(sources=[{"url": "*.csv"}], root=str(tmp_path / "in"))


def write(path: Path, number: int) -> None:
    lines = [f"{row + number},{row * 0.5},{'ab'[row % 2]}" for row in range(30)]
    path.write_text("x,y,label\n" + "\n".join(lines) + "\n")


def prepare(data: DataSection, store: ObjectStore) -> tuple[str, dict[str, Any]]:
    """The data set's digest, and the event that told what was known."""
    events: list[dict[str, Any]] = []

    def none() -> Any:
        pytest.fail("a cluster was opened")

    digest = prepare_dataset(data, identified(data), store, none, events.append, alone=True)
    return digest, next(event for event in events if "event" in event)


def states(data: DataSection, store: ObjectStore) -> ShardStates:
    return shard_states(data, source_identity(data), store, 0.0)


def test_before_the_first_run_nothing_can_be_told(data: DataSection, store: ObjectStore):
    found = states(data, store)
    assert (found.known, found.missing, found.undecided) == (0, 0, 6)
    assert found.why[0] == "0.csv: not looked into yet"


def test_after_a_run_all_is_known(data: DataSection, store: ObjectStore):
    prepare(data, store)
    assert states(data, store) == ShardStates(known=6)


def test_a_new_a_changed_and_a_removed_file_are_told_and_so_it_comes(data: DataSection, store: ObjectStore):
    prepare(data, store)
    folder = Path(data.root)
    write(folder / "8.csv", 8)
    write(folder / "4.csv", 44)
    (folder / "5.csv").unlink()
    found = states(data, store)
    assert (found.known, found.missing, found.undecided) == (4, 2, 0)
    assert found.why == ("4.csv: not looked into yet",)
    assert prepare(data, store)[1]["event"] == "4 of 6 shards known"


def test_where_the_columns_are_inferred_anew_nothing_is_promised(data: DataSection, store: ObjectStore):
    prepare(data, store)
    write(Path(data.root) / "0.csv", 77)
    found = states(data, store)
    assert (found.known, found.missing, found.undecided) == (0, 0, 6)
    assert "columns are inferred" in found.why[-1]
    assert prepare(data, store)[1]["event"] == "5 of 6 shards known"


def test_damage_and_other_fields_are_told(data: DataSection, store: ObjectStore):
    prepare(data, store)
    blob = next(key for key, _ in store.list("blobs") if key.endswith(".parquet"))
    store.delete(blob)
    found = states(data, store)
    assert (found.known, found.missing) == (5, 1)
    assert found.why == (f"blob {blob}: found none, wanted one of " + found.why[0].rpartition("of ")[2],)
    other = data.model_copy(update={"split_seed": 3})
    assert states(other, store).known == 0


def test_the_features_shards_are_told_too(data: DataSection, store: ObjectStore):
    dataset, _ = prepare(data, store)
    transforms = put_files(store, "transforms", fit_transforms(TransformsSection(), store, dataset), {})
    assert encode_states(dataset, transforms, store, 0.0).missing == 6
    encode(store, dataset, transforms, here, lambda event: None)
    assert encode_states(dataset, transforms, store, 0.0) == ShardStates(known=6)


def test_looking_loads_neither_prefect_dask_pandas_nor_torch(data: DataSection, store: ObjectStore):
    prepare(data, store)
    program = (
        "import sys; from storage.objects import open_store; from tasks.frames.identity import source_identity; "
        "from tasks.frames.states import shard_states; from tasks.sections import DataSection; "
        "data = DataSection.model_validate_json(sys.argv[1]); "
        "print(shard_states(data, source_identity(data), open_store(sys.argv[2]), 0.0).known); "
        "print({'prefect', 'dask', 'distributed', 'pandas', 'torch', 'sklearn'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", program, data.model_dump_json(), store.url]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")[:2] == ["6", "set()"]
