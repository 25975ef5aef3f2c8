"""approve: where the configuration asks for it, a person has the last word before the alias moves."""

from dataclasses import replace

from prefect.flow_runs import pause_flow_run
from prefect.input import RunInput
from prefect.logging import get_run_logger
from prefect.runtime import flow_run
from prefect.utilities.urls import url_for
from pydantic import Field

from flows.artifacts import is_seen
from flows.flow import flow
from flows.running import Run
from storage.errors import ConfigError
from storage.registry import open_registry
from tasks.judgement import Judgement
from tasks.progress import reporter
from tasks.scoring.gate import Decision

POLL_SECONDS = 2


class Answer(RunInput):
    """What the person fills in when the run is resumed."""

    approve: bool = Field(default=True, description="Let the alias move to this model")
    note: str = Field(default="", description="Why; it is kept with the verdict")


@flow(name="approve-release")
def approve_release(question: str, hours: float) -> Answer:
    """Wait for a person's answer in Prefect's UI (Resume, on this run's page); fails when the time is over."""
    where = url_for("flow-run", flow_run.get_id()) or "Prefect's UI"
    reporter("approve", get_run_logger())({"event": f"waiting for an answer at {where}", "hours": hours})
    asked = Answer.with_initial_data(description=question)
    return pause_flow_run(asked, timeout=max(1, round(3600 * hours)), poll_interval=POLL_SECONDS)


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
    state = approve_release(question, release.approval.hours, return_state=True)
    answer = state.result(raise_on_failure=False)
    if not isinstance(answer, Answer):
        return _decided(judgement, "hold", f"nobody approved it within {release.approval.hours:g} hours")
    note = f": {answer.note}" if answer.note else ""
    if not answer.approve:
        return _decided(judgement, "hold", f"a person refused it{note}")
    return _decided(judgement, "promote", f"a person approved it{note}")


def _decided(judgement: Judgement, decision: Decision, reason: str) -> Judgement:
    verdict = replace(judgement.verdict, decision=decision, reasons=(reason, *judgement.verdict.reasons))
    return replace(judgement, verdict=verdict)
