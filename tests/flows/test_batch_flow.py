"""Batch prediction as a flow, and on a cluster: the same files as by hand."""

import json
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from batches import files, predicted, rows_of, write_parquet
from commands import environment
from distributed import Client
from handmade import iris_store

from infra.clusters import open_cluster
from storage.objects import open_store
from storage.registry import open_registry
from tasks.batch import spreading
from tasks.batch.planning import located_sources
from tasks.batch.predict import predict_files
from tasks.sections import BatchSection, ClusterSection

FLOW = """
import json, sys
from flows.batch_predict import batch_predict
from prefect.states import State
state = batch_predict(**json.loads(sys.argv[1]), return_state=True)
told = {"name": state.name, "message": state.message, "summary": state.result(raise_on_failure=False)}
sys.stdout.write(json.dumps(told, default=str))
"""

BY_HAND = """
import json, sys
from flows.batch_by_hand import main
code = main(json.loads(sys.argv[1]))
sys.stderr.write("\\nMODULES " + json.dumps(sorted(sys.modules)))
sys.exit(code)
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a store, and rows in two files, one of them bad."""
    iris_store(tmp_path)
    write_parquet(tmp_path / "rows" / "a.parquet", rows_of(100), row_group=20)
    write_parquet(tmp_path / "rows" / "b.parquet", [*rows_of(99), {**rows_of(1)[0], "petal_width": None}])
    return tmp_path


def by_flow(place: Path, api: str, **more: Any) -> dict[str, Any]:
    """How a run of the flow ended."""
    batch = {"sources": ["rows"], "output": "flow", "part_rows": 20, **more}
    order = {"name": "iris", "batch": batch, "storage": {"url": "store"}}
    ended = subprocess.run(
        [sys.executable, "-c", FLOW, json.dumps(order)],
        cwd=place,
        env=environment(place / "root", PREFECT_API_URL=api),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def test_a_flow_writes_what_the_command_writes_and_finds_what_was_found(place: Path, prefect_api: str):
    told = by_flow(place, prefect_api)
    assert told["message"] == "199 of 200 rows predicted by version 1"
    assert told["summary"]["parts_computed"] == 10
    assert by_flow(place, prefect_api)["summary"]["parts_computed"] == 0
    assert predicted(place, "--part-rows", "20")["parts_computed"] == 0
    assert files(place, "flow") == files(place, "out")


def test_by_hand_a_few_rows_are_predicted_without_prefect_dask_or_torch(place: Path):
    order = {"name": "iris", "wanted": "champion", "batch": {"sources": ["rows"], "output": "out"}, "cluster": {}}
    more = {"storage": str(place / "store"), "settings": {}, "json": True, "debug": False}
    ended = subprocess.run(
        [sys.executable, "-c", BY_HAND, json.dumps({**order, **more})],
        cwd=place,
        env=environment(place / "root"),
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(ended.stdout)["rows_out"] == 199
    loaded = set(json.loads(ended.stderr.rpartition("MODULES ")[2]))
    assert not loaded & {"prefect", "dask", "distributed", "torch", "sklearn"}


def test_a_mistake_ends_the_flow_as_failed_with_one_message(place: Path, prefect_api: str):
    told = by_flow(place, prefect_api, keep=["ids"])
    assert told["name"] == "Failed"
    assert "rows/a.parquet: column 'ids' is missing" in told["message"]


@pytest.fixture
def here(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, as the current folder of this process."""
    monkeypatch.setenv("MILLRACE_ROOT", str(place / "root"))
    monkeypatch.chdir(place)
    return place


def predictions(client: Any, alone: bool) -> tuple[str, list[dict[str, Any]]]:
    """The digest of all predictions, and what was reported."""
    batch, events, store = BatchSection(sources=("rows",), output="out", part_rows=20), [], open_store("store")
    artifact = open_registry(store.url).find("iris", "champion").artifact
    return predict_files(batch, located_sources(batch), artifact, store, client, events.append, alone), events


def no_cluster() -> AbstractContextManager[Client]:
    pytest.fail("a cluster was opened")


def test_little_is_done_here_and_much_on_a_cluster_with_the_same_result(here: Path, monkeypatch: pytest.MonkeyPatch):
    alone, _ = predictions(no_cluster, alone=True)
    for wanted in (True, False):
        (here / "store" / "shards").rename(here / f"shards-{wanted}")
        monkeypatch.setattr(spreading, "WORTH_SECONDS", 0.0)
        opened: list[str] = []

        def cluster(opened: list[str] = opened) -> AbstractContextManager[Client]:
            opened.append("once")
            return open_cluster(ClusterSection(workers=2, memory_gib=1.0))

        spread, events = predictions(cluster, alone=wanted)
        assert (spread, opened) == (alone, ["once"])
        assert events[-1]["done"] == events[-1]["total"] == 10
        assert events[-1]["rows"] == 200
