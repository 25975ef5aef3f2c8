"""What a Prefect server is told of this project: work pools, deployments, automations. Done again, it changes nothing."""

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    WorkerFilter,
    WorkerFilterStatus,
)
from prefect.client.schemas.objects import DeploymentSchedule, FlowRun, StateType, WorkerStatus
from prefect.exceptions import ObjectAlreadyExists
from prefect.states import Cancelling

from flows.automations import apply_automations
from flows.presets import preset_config
from infra.launcher import launch
from storage.errors import ConfigError, ProcessFailed
from storage.root import data_root

FOLDER = Path(__file__).resolve().parents[1] / "deployments"
IMAGE = "MILLRACE_IMAGE"
BEGUN = [StateType.PENDING, StateType.RUNNING, StateType.PAUSED, StateType.CANCELLING]


def deploy(api: str) -> str:
    """Tell the server at `api` everything in `deployments/`; who hears of failures, in words.

    Prefect's own words go to `background/deploy.log`. ConfigError, after all else, where the block to tell is not there.
    """
    file = FOLDER / "prefect.yaml"
    if not file.is_file():
        raise ConfigError(
            f"{file}: not found; deployments come with a checkout of the project: install it with pip install -e"
        )
    make_work_pools(FOLDER / "work_pools")
    with switches_kept():
        _run_prefect_deploy(file, api)
    return apply_automations(FOLDER / "automations.yaml")


def make_work_pools(folder: Path) -> None:
    """A work pool for each job template in `folder`, its type by the file's name; one that is there gets the template."""
    with get_client(sync_client=True) as client:
        for file in sorted(folder.glob("*.json")):
            template = json.loads(file.read_text())
            _put_image(template["variables"]["properties"])
            try:
                client.create_work_pool(WorkPoolCreate(name=file.stem, type=file.stem, base_job_template=template))
            except ObjectAlreadyExists:
                client.update_work_pool(file.stem, WorkPoolUpdate(base_job_template=template))


def whole_configuration(preset: str) -> dict[str, Any]:
    """The preset's configuration, as a build step of `deployments/prefect.yaml`: a deployment's parameters refer to `config`."""
    return {"config": preset_config(preset).model_dump(mode="json")}


@contextmanager
def switches_kept() -> Iterator[None]:
    """What somebody paused stays paused, and schedules that were switched on stay on: the file says only how they begin."""
    with get_client(sync_client=True) as client:
        before = _schedules(client, active=True)
        paused = [deployment.id for deployment in client.read_deployments() if deployment.paused]
        yield
        for deployment_id in paused:
            client.pause_deployment(deployment_id)
        for place, schedule in _schedules(client, active=False).items():
            if place in before:
                client.update_deployment_schedule(place[0], schedule.id, active=True)


def is_online(pool: str) -> bool:
    """Whether the server knows a worker of this pool as online."""
    online = WorkerFilter(status=WorkerFilterStatus(any_=[WorkerStatus.ONLINE]))
    with get_client(sync_client=True) as client:
        return bool(client.read_workers_for_work_pool(pool, worker_filter=online))


def cancel_runs(seconds: float) -> list[str]:
    """Ask the runs that workers have begun to stop, and wait so long for it; the names of those asked."""
    begun = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=BEGUN)))
    with get_client(sync_client=True) as client:
        runs = [run for run in client.read_flow_runs(flow_run_filter=begun) if run.deployment_id]
        for run in runs:
            client.set_flow_run_state(run.id, Cancelling(message="stopped by millrace down"))
        end = time.monotonic() + seconds
        while time.monotonic() < end and any(_goes_on(client, run) for run in runs):
            time.sleep(0.2)
    return [run.name for run in runs]


def _run_prefect_deploy(file: Path, api: str) -> None:
    log = data_root() / "background" / "deploy.log"
    argv = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(file)]
    log.unlink(missing_ok=True)
    try:
        launch(argv, on_line=lambda line: None, log=log, env={"PREFECT_API_URL": api})
    except ProcessFailed:
        said = [line for line in log.read_text().splitlines() if line.strip() not in ("", "An exception occurred.")]
        raise ProcessFailed(f"prefect deploy: {said[-1].strip() if said else 'no message'}. Log: {log}") from None


def _schedules(client: SyncPrefectClient, active: bool) -> dict[tuple[UUID, str], DeploymentSchedule]:
    deployments = client.read_deployments()
    return {
        (deployment.id, schedule.slug or str(schedule.schedule)): schedule
        for deployment in deployments
        for schedule in deployment.schedules
        if schedule.active is active
    }


def _goes_on(client: SyncPrefectClient, run: FlowRun) -> bool:
    state = client.read_flow_run(run.id).state
    return state is not None and not state.is_final()


def _put_image(variables: dict[str, Any]) -> None:
    if "image" in variables and os.environ.get(IMAGE):
        variables["image"]["default"] = os.environ[IMAGE]
