"""The whole chain on a small table, killed at chosen moments and run again: what `make soak` does at a hundred drawn ones."""

from pathlib import Path

import pytest
from killed import Run, write_rows
from trials import Trial, Undisturbed, go_on, kill_once, undisturbed

MOMENTS = {
    "between blobs and manifest": {"name": "write after of flows.by_hand", "number": 9, "whom": "flows.cli"},
    "in mid-checkpoint": {"name": "checkpoint within of tasks.nn.trainer", "number": 5, "whom": "self"},
}


@pytest.fixture(scope="module")
def model(prefect_api: str, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    folder = tmp_path_factory.mktemp("chain")
    write_rows(folder / "rows")
    return undisturbed(folder / "undisturbed", folder / "rows", {"PREFECT_API_URL": prefect_api})


@pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS)
def test_a_killed_chain_ends_with_the_digests_of_an_undisturbed_one(
    moment: dict, model: Undisturbed, prefect_api: str, tmp_path: Path
):
    run = Run(tmp_path / "killed", model.home.parent / "rows", {"PREFECT_API_URL": prefect_api})
    trial = Trial(0)
    before, landed = kill_once(trial, run, moment, model, {})
    assert landed
    go_on(trial, run, model, before, "again")
    assert trial.faults == []
