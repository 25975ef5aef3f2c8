"""A run that found everything, in Prefect's UI: its steps as tasks that were cached, its summary as a table. No task is started for it."""

import json
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.logging import get_run_logger
from prefect.runtime import flow_run
from prefect.states import Completed, Running

from flows.artifacts import artifact_key, is_seen
from flows.journal import Journal
from flows.results import STATE_NAMES
from flows.steps import STEPS
from tasks.report.markdown import summary_rows


def show_found(journal: Journal) -> None:
    """Show it on the page of the flow run that is going on, where somebody can see it."""
    if not is_seen():
        return
    try:
        with get_client(sync_client=True) as client:
            _show(client, UUID(flow_run.get_id()), journal)
    except Exception as error:  # noqa: BLE001  whatever a client raises, the run is done
        get_run_logger().warning("the cached steps are not shown here: %s", error)


def tell_server(journal: Journal) -> None:
    """Show it as a flow run of the pipeline, for which no flow was started either. Raises what Prefect's client raises."""
    from flows.pipeline import pipeline

    verdict = (journal.summary or {})["verdict"]
    ended = Completed(name=STATE_NAMES[verdict["decision"]], message="; ".join(verdict["reasons"]))
    parameters = {"config": journal.config.model_dump(mode="json")}
    with get_client(sync_client=True) as client:
        run = client.create_flow_run(pipeline, parameters=parameters, state=Running())
        try:
            _show(client, run.id, journal)
        finally:  # whatever became of the rest, a run that has ended is not left running
            client.set_flow_run_state(run.id, ended, force=True)


def _show(client: SyncPrefectClient, flow_run_id: UUID, journal: Journal) -> None:
    summary, tasks = journal.summary or {}, {step.name: step.load() for step in STEPS}
    for name, entry in journal.steps.items():
        cached = Completed(name="Cached")
        client.create_task_run(tasks[entry.step], flow_run_id, dynamic_key=name, name=name, state=cached)
    table = ArtifactCreate(
        key=artifact_key(journal.config.name, "summary"),
        type="table",
        description=f"Run {journal.run_id}",
        data=json.dumps(summary_rows(summary, journal.config.evaluate.metric)),
        flow_run_id=flow_run_id,
    )
    client.create_artifact(table)
