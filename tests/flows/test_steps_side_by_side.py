"""Steps that run side by side: what one of them made is remembered though another failed."""

from pathlib import Path

import pytest
from prefect import flow
from prefect_server import speaking_to

from flows.journal import COMPUTED, FAILED
from flows.running import running
from flows.steps import Step
from storage.errors import SchemaError
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
