"""What a run's manifest tells, from the start on: also of steps side by side, one of which failed."""

from pathlib import Path
from typing import Any

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.sorting import FlowRunSort
from prefect_server import speaking_to

from flows import journal
from flows.journal import CACHED, COMPUTED, FAILED, RUNNING, Journal, StepEntry
from flows.running import running
from flows.seen import tell_server
from flows.settings import resolve
from flows.steps import Step
from storage.blobs import Blob
from storage.errors import SchemaError
from storage.leases import live_runs
from storage.manifests import put_files
from storage.objects import open_store
from storage.refs import ModelRef
from storage.runs import list_runs, read_run
from tasks.policies import step


@step("halve")
def halve(value: int, storage: str) -> ModelRef:
    """Half of an even value."""
    if value % 2:
        raise SchemaError(f"value {value}: found an odd one, wanted an even one")
    return ModelRef(storage, put_files(open_store(storage), "model", {"half.txt": b"%d" % (value // 2)}, {}))


HALVE = Step("halve", f"{__name__}:halve", inputs=("value",))


@flow(name="halves")
def halves(storage: str, values: dict[str, int]) -> None:
    with running("halves", "digits", None, {"storage.url": storage}) as run:
        run.each(HALVE, {name: {"value": value} for name, value in values.items()}, parallel=2)


def test_what_was_made_beside_a_failure_is_in_the_runs_manifest(
    prefect_api: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("MILLRACE_ROOT", str(tmp_path / "root"))
    store = open_store(str(tmp_path / "store"))
    with speaking_to(prefect_api, tmp_path / "prefect"), pytest.raises(SchemaError, match="value 1"):
        halves(store.url, {"odd": 1, "even": 2})
    run = read_run(store, list_runs(store)[0])
    states = {told["name"]: told["state"] for told in run["steps"]}
    assert (run["status"], states) == (FAILED, {"halve odd": FAILED, "halve even": COMPUTED})


@flow(name="looks")
def looks(storage: str) -> list[str]:
    with running("looks", "digits", None, {"storage.url": storage}):
        store = open_store(storage)
        return [read_run(store, run_id)["status"] for run_id in list_runs(store)]


def test_a_run_is_told_of_before_its_first_step(prefect_api: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """So one that is killed in it is known to have begun."""
    monkeypatch.setenv("MILLRACE_ROOT", str(tmp_path / "root"))
    with speaking_to(prefect_api, tmp_path / "prefect"):
        assert looks(open_store(str(tmp_path / "store")).url) == [RUNNING]


def test_a_run_is_announced_before_it_names_what_a_collection_of_garbage_could_take(
    prefect_api: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("MILLRACE_ROOT", str(tmp_path / "root"))
    store, alive, take = open_store(str(tmp_path / "store")), list[set[str]](), journal.take_snapshot

    def taken(*arguments: Any) -> Blob:
        alive.append(live_runs(store))
        return take(*arguments)

    monkeypatch.setattr(journal, "take_snapshot", taken)
    with speaking_to(prefect_api, tmp_path / "prefect"):
        looks(store.url)
    assert alive[0] == set(list_runs(store))


def test_a_run_that_cannot_be_shown_in_full_is_not_left_running(prefect_api: str, tmp_path: Path):
    found = Journal("pipeline", resolve("digits"), steps={"odd": StepEntry("odd", "of no such kind", CACHED, 0.0, "")})
    found.summary = {"verdict": {"decision": "promote", "reasons": ["already the champion"]}}
    with speaking_to(prefect_api, tmp_path / "prefect"), get_client(sync_client=True) as client:
        with pytest.raises(KeyError):
            tell_server(found)
        (latest, *_) = client.read_flow_runs(sort=FlowRunSort.END_TIME_DESC, limit=1)
        assert (latest.state_name, latest.parameters["config"]["name"]) == ("Completed", "digits")
