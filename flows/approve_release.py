"""approve: where the configuration asks for it, a person has the last word before the alias moves."""

import time
from dataclasses import replace
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import State
from prefect.input import RunInput, keyset_from_paused_state
from prefect.logging import get_run_logger
from prefect.runtime import flow_run
from prefect.states import Cancelled, Paused, Pending
from prefect.utilities.urls import url_for
from pydantic import Field

from flows.artifacts import is_seen
from flows.flow import flow
from flows.running import Run
from storage.errors import ConfigError
from storage.registry import open_registry
from tasks.judgement import Judgement
from tasks.progress import reporter
from tasks.scoring.decisions import Decision

POLL_SECONDS = 2
GRACE_SECONDS = 60  # after which the server would fail the run itself


class Answer(RunInput):
    """What the person fills in when the run is resumed."""

    approve: bool = Field(default=True, description="Let the alias move to this model")
    note: str = Field(default="", description="Why; it is kept with the verdict")


@flow(name="approve-release")
def approve_release(question: str, hours: float) -> Answer | State | None:
    """Wait for a person's answer in Prefect's UI (Resume, on this run's page); none where the time is over, or it was cancelled.

    Prefect's own `pause_flow_run` would go on waiting for the answer of a run that was cancelled.
    """
    where = url_for("flow-run", flow_run.get_id()) or "Prefect's UI"
    reporter("approve", get_run_logger())({"event": f"waiting for an answer at {where}", "hours": hours})
    asked, end = Answer.with_initial_data(description=question), time.monotonic() + 3600 * hours
    paused = Paused(timeout_seconds=round(3600 * hours) + GRACE_SECONDS, pause_key="answer")
    answers = paused.state_details.run_input_keyset = keyset_from_paused_state(paused)  # pyright: ignore[reportAttributeAccessIssue]
    with get_client(sync_client=True) as client:
        run_id = UUID(flow_run.get_id())
        client.set_flow_run_state(run_id, paused)
        asked.save(answers)
        while (state := _state(client, run_id)).is_paused() and time.monotonic() < end:
            time.sleep(POLL_SECONDS)
    if state.is_running():
        return asked.load(answers)  # pyright: ignore[reportReturnType]
    return Cancelled(message="cancelled, not answered") if state.is_cancelling() else None


def _state(client: SyncPrefectClient, run_id: UUID) -> State:
    return client.read_flow_run(run_id).state or Pending()


def refuse_unanswerable(run: Run) -> None:
    """ConfigError where the run is to wait for an answer that nobody could give."""
    if run.config.release.approval.ask and not is_seen():
        raise ConfigError(
            "release.approval.ask: found true, and no Prefect server on which a person could answer; "
            "start one with: millrace up, or set it to false and release by hand with: millrace promote"
        )


def approved(run: Run, judgement: Judgement) -> Judgement:
    """The judgement as it is, or, where a person was asked and did not approve, held for that reason."""
    release = run.config.release
    serving = open_registry(run.storage).alias(run.config.name, release.alias)
    serves = serving is not None and serving.artifact == judgement.artifact.digest
    if not release.approval.ask or judgement.verdict.decision != "promote" or serves:
        return judgement
    reasons = "\n".join(f"- {reason}" for reason in judgement.verdict.reasons)
    question = f"Shall `{release.alias}` of **{run.config.name}** move to this model?\n\n{reasons}"
    asked = approve_release(question, release.approval.hours, return_state=True)
    answer = asked.result(raise_on_failure=False)
    if not isinstance(answer, Answer):
        why = "the question was cancelled" if asked.is_cancelled() else f"no answer in {release.approval.hours:g} hours"
        return _decided(judgement, "hold", f"nobody approved it: {why}")
    note = f": {answer.note}" if answer.note else ""
    if not answer.approve:
        return _decided(judgement, "hold", f"a person refused it{note}")
    return _decided(judgement, "promote", f"a person approved it{note}")


def _decided(judgement: Judgement, decision: Decision, reason: str) -> Judgement:
    verdict = replace(judgement.verdict, decision=decision, reasons=(reason, *judgement.verdict.reasons))
    return replace(judgement, verdict=verdict)
