"""A person's last word before the alias moves, and an alias moved from Prefect: against a real server."""

import contextvars
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import wait_for
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateName
from prefect.client.schemas.objects import FlowRun, State
from prefect.input import filter_flow_run_input
from prefect.settings import PREFECT_API_URL, PREFECT_HOME, PREFECT_LOGGING_TO_API_ENABLED, temporary_settings
from prefect.states import Cancelling

from flows import approve_release
from flows.approve_release import approved
from flows.pipeline import pipeline
from flows.promote_model import promote_model
from flows.rollback_model import rollback_model
from flows.running import Run
from flows.settings import resolve
from storage.errors import ConfigError, NotFound
from storage.refs import ArtifactRef, LatencyRef, ScoresRef
from storage.registry import open_registry
from tasks.judgement import Judgement
from tasks.scoring.decisions import Choice, Verdict
from tasks.sections import StorageSection

A, B = "a" * 64, "b" * 64


@pytest.fixture(autouse=True)
def prefect_here(prefect_api: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("MILLRACE_ROOT", str(tmp_path / "root"))
    monkeypatch.setattr(approve_release, "POLL_SECONDS", 0.2)
    settings = {PREFECT_API_URL: prefect_api, PREFECT_HOME: tmp_path / "prefect", PREFECT_LOGGING_TO_API_ENABLED: False}
    with temporary_settings(settings):
        yield


@pytest.fixture
def store(tmp_path: Path) -> str:
    """A store in which version 1 (A) of `digits` is the champion, and 2 (B) is registered."""
    url = str(tmp_path / "store")
    registry = open_registry(url)
    for artifact in (A, B):
        registry.register("digits", artifact, artifact)
    registry.promote("digits", 1, "champion")
    return url


def asking(store: str, **more: Any) -> Run:
    overrides = {"storage.url": store, "release.approval.ask": True, **more}
    return Run("pipeline", resolve("digits", None, overrides))


def judgement(store: str, artifact: str = B, decision: Any = "promote") -> Judgement:
    ref, scores = ArtifactRef(store, artifact), ScoresRef(store, A)
    verdict = Verdict(decision, ("accuracy 98 % is enough",), {})
    return Judgement(ref, scores, "accuracy", Choice("int8", {}), verdict, 1, {}, {}, LatencyRef(store, A))


def meeting_the_question(act: Callable[[SyncPrefectClient, FlowRun], Any]) -> threading.Thread:
    """Somebody who does this with the run that waits, as soon as it waits and its form is there."""

    def meet() -> None:
        waiting = FlowRunFilter(state=FlowRunFilterState(name=FlowRunFilterStateName(any_=["Paused"])))
        with get_client(sync_client=True) as client:
            (run,) = wait_for(lambda: client.read_flow_runs(flow_run_filter=waiting), "the question")
            wait_for(lambda: filter_flow_run_input("", limit=9, exclude_keys=set(), flow_run_id=run.id), "its form")
            act(client, run)

    context = contextvars.copy_context()  # which holds Prefect's settings
    thread = threading.Thread(target=context.run, args=(meet,))
    thread.start()
    return thread


def answered(**answer: Any) -> threading.Thread:
    """Somebody who resumes the run that waits, with this answer."""
    return meeting_the_question(lambda client, run: client.resume_flow_run(run.id, run_input=answer))


def test_what_a_person_approves_is_promoted_with_the_note_as_a_reason(store: str):
    person = answered(approve=True, note="looked at the sevens")
    verdict = approved(asking(store), judgement(store)).verdict
    person.join()
    assert verdict.decision == "promote"
    assert verdict.reasons == ("a person approved it: looked at the sevens", "accuracy 98 % is enough")


def test_what_a_person_refuses_is_held(store: str):
    person = answered(approve=False)
    verdict = approved(asking(store), judgement(store)).verdict
    person.join()
    assert (verdict.decision, verdict.reasons[0]) == ("hold", "a person refused it")


def test_what_nobody_answers_in_time_is_held(store: str):
    verdict = approved(asking(store, **{"release.approval.hours": 0.0001}), judgement(store)).verdict
    assert (verdict.decision, verdict.reasons[0]) == ("hold", "nobody approved it: no answer in 0.0001 hours")


def test_what_is_cancelled_instead_of_answered_is_held(store: str):
    person = meeting_the_question(lambda client, run: client.set_flow_run_state(run.id, Cancelling()))
    verdict = approved(asking(store), judgement(store)).verdict
    person.join()
    assert (verdict.decision, verdict.reasons[0]) == ("hold", "nobody approved it: the question was cancelled")


@pytest.mark.parametrize(
    ("ask", "artifact", "decision"), [(False, B, "promote"), (True, B, "reject"), (True, A, "promote")]
)
def test_nobody_is_asked_where_no_alias_would_move(ask: bool, artifact: str, decision: str, store: str):
    before = judgement(store, artifact, decision)
    assert approved(asking(store, **{"release.approval.ask": ask}), before) is before


def test_without_a_server_to_answer_on_a_run_that_would_ask_is_refused_at_once(tmp_path: Path):
    with temporary_settings({PREFECT_API_URL: None}), pytest.raises(ConfigError, match="millrace up"):
        approve_release.refuse_unanswerable(asking(str(tmp_path / "store")))


def test_an_alias_moves_and_moves_back_from_prefect_as_by_the_command(store: str):
    moved: State = promote_model("digits", 2, storage=StorageSection(url=store), return_state=True)
    assert (moved.message, open_registry(store).aliases("digits")) == ("digits: champion is version 2", {"champion": 2})
    back: State = rollback_model("digits", storage=StorageSection(url=store), return_state=True)
    assert (back.message, open_registry(store).aliases("digits")) == (
        "digits: champion is version 1 again",
        {"champion": 1},
    )


def test_a_mistake_ends_a_run_with_its_one_message(tmp_path: Path):
    states = [
        promote_model("digits", 2, storage=StorageSection(url=str(tmp_path / "nowhere")), return_state=True),
        pipeline(preset="digitz", return_state=True),
        pipeline(preset="digits", overrides={"train.epocs": 3}, return_state=True),
    ]
    assert all(state.is_failed() for state in states)
    assert [state.message.partition(":")[0] for state in states] == ["NotFound", "ConfigError", "ConfigError"]
    assert "did you mean 'epochs'?" in states[2].message
    assert not any("Traceback" in state.message or "\n" in state.message for state in states)
    with pytest.raises(NotFound):  # who calls it from Python gets the exception
        promote_model("digits", 2, storage=StorageSection(url=str(tmp_path / "nowhere")))
