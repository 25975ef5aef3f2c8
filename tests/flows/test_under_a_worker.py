"""`millrace up`, runs by its worker, one cancelled, and `millrace down`: real processes in a data root of their own."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil
import pytest
from commands import COMMAND, Ended, environment, free_port, wait_for
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    FlowRunFilter,
    FlowRunFilterId,
    LogFilter,
    LogFilterFlowRunId,
)
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings
from prefect.states import Cancelling

from infra import background

TINY = {"train.epochs": 1, "train.mlp.hidden": [8], "evaluate.minimum": 0.9999}
TINY |= {"compress.recipes": [{"name": "int8", "passes": [{"kind": "quantise"}]}]}
LONG = {"train.epochs": 10_000}


def command(home: Path, *arguments: str) -> Ended:
    ended = subprocess.run(
        [*COMMAND, *arguments], cwd=home, env=environment(home / ".millrace"), capture_output=True, text=True, timeout=400, check=False,
    )  # fmt: skip
    return Ended(ended.returncode, ended.stdout, ended.stderr)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in which `millrace up` was run; what is left at the end is stopped."""
    home, before = tmp_path_factory.mktemp("home"), os.environ.get("MILLRACE_ROOT", "")
    os.environ["MILLRACE_ROOT"] = str(home / ".millrace")
    ended = command(home, "up", "--port", str(free_port()))
    try:
        assert ended.code == 0, ended.err
        yield home
    finally:
        background.stop_all()
        os.environ["MILLRACE_ROOT"] = before


@pytest.fixture(scope="module")
def client(home: Path) -> Iterator[SyncPrefectClient]:
    api = f"http://127.0.0.1:{background.facts_of('server')['port']}/api"
    with (
        temporary_settings({PREFECT_API_URL: api, PREFECT_HOME: home / "prefect"}),
        get_client(sync_client=True) as client,
    ):
        yield client


def started(client: SyncPrefectClient, overrides: dict[str, Any]) -> FlowRun:
    deployment = client.read_deployment_by_name("pipeline/default")
    parameters = {"preset": "breast_cancer", "overrides": overrides}
    return client.create_flow_run_from_deployment(deployment.id, parameters=parameters)


def is_training(client: SyncPrefectClient, run: FlowRun) -> bool:
    state = ended_state(client, run)
    assert state is None, f"ended before it trained: {state.message}"
    return "train: epoch" in log_of(client, run.id)


def log_of(client: SyncPrefectClient, run: UUID) -> str:
    lines = client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run])), limit=200)
    return "\n".join(line.message for line in lines)


def processes_of(run: FlowRun) -> list[str]:
    """Programs that work for this run: its flow, trainer, cluster."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("PREFECT__FLOW_RUN_ID") == str(run.id) and process.status() != "zombie":
                found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return found


def ended_state(client: SyncPrefectClient, run: FlowRun) -> Any:
    state = client.read_flow_run(run.id).state
    return state if state and state.is_final() else None


def test_a_rejected_run_is_named_so_and_shows_the_trainers_lines_its_summary_and_its_report(
    home: Path, client: SyncPrefectClient
):
    run = started(client, TINY)
    state = wait_for(lambda: ended_state(client, run), "the run's end", seconds=300)
    assert state.name == "Rejected", state.message
    assert "minimum" in state.message
    log = log_of(client, run.id)
    assert "train: epoch 1/1" in log
    assert "compress int8: computed" in log
    of_run = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run.id]))
    artifacts = {artifact.key: artifact for artifact in client.read_artifacts(artifact_filter=of_run) if artifact.key}
    assert (artifacts["breast-cancer-train"].type, artifacts["breast-cancer-train"].data) == ("progress", 100)
    assert artifacts["breast-cancer-summary"].type == "table"
    assert "](data:image/svg+xml;base64," in str(artifacts["breast-cancer-report"].data)


def test_the_same_run_again_starts_no_stage_and_shows_its_steps_as_cached(home: Path, client: SyncPrefectClient):
    run = started(client, TINY)
    state = wait_for(lambda: ended_state(client, run), "the run's end", seconds=300)
    assert state.name == "Rejected", state.message
    of_run = FlowRunFilter(id=FlowRunFilterId(any_=[run.id]))
    tasks = client.read_task_runs(flow_run_filter=of_run)
    assert {"prepare", "train", "compress int8", "judge"} <= {task.name for task in tasks}
    assert {task.state_name for task in tasks} == {"Cached"}
    written = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run.id]))
    assert [artifact.key for artifact in client.read_artifacts(artifact_filter=written)] == ["breast-cancer-summary"]


def test_cancelling_in_mid_training_stops_all_that_works_for_the_run(home: Path, client: SyncPrefectClient):
    run = started(client, LONG)
    wait_for(lambda: is_training(client, run), "the training", seconds=300)
    assert any("tasks.nn.trainer" in process for process in processes_of(run))
    client.set_flow_run_state(run.id, Cancelling())
    wait_for(lambda: not processes_of(run), "the end of its processes", seconds=60)
    try:
        state = wait_for(lambda: ended_state(client, run), "the run's end", seconds=60)
    finally:
        sys.stdout.write(
            (home / ".millrace" / "background" / "worker.log").read_text()[-5000:]
        )  # seen where the test fails
    assert state.name == "Cancelled"


def test_up_again_starts_only_what_is_gone(home: Path, client: SyncPrefectClient):
    server, worker = background.facts_of("server"), background.facts_of("worker")
    os.kill(worker["pid"], signal.SIGKILL)
    ended = command(home, "up")
    assert (ended.code, ended.err) == (0, "")
    assert background.facts_of("server") == server
    assert background.is_running("worker")
    assert background.facts_of("worker")["pid"] != worker["pid"]
    refused = command(home, "up", "--port", str(free_port()))
    assert (refused.code, len(refused.err.splitlines())) == (2, 1)
    assert "up already" in refused.err


def test_down_cancels_what_runs_and_leaves_no_process(home: Path, client: SyncPrefectClient):
    run = started(client, LONG)
    wait_for(lambda: is_training(client, run), "the training", seconds=300)
    ended = command(home, "down")
    assert ended.code == 0, ended.err
    assert f"run {run.name}: cancelled" in ended.out
    assert processes_of(run) == []
    assert background.stop_all() == 0
    assert command(home, "down").out == "nothing was running\n"
