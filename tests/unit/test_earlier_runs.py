"""`millrace runs`, `show` and `why` over runs whose manifests lie in a store: which run is meant, and what is said of it."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from flows.cli import main
from flows.journal import CACHED, COMPUTED, FAILED, FINISHED, RUNNING, Journal, StepEntry
from flows.settings import resolve
from storage.leases import running
from storage.objects import open_store

OLD, NEW = "20260101-120000-aaaaaaaa", "20260102-120000-bbbbbbbb"
COMPUTED_STEP = StepEntry(
    "prepare", "prepare", COMPUTED, 3.0, "1" * 64, "2" * 64, ("train.epochs: 2 → 3",), OLD, {"wall_seconds": 3.0}
)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store with two runs: one that computed a step and failed at the next, and one that found the first and finished."""
    monkeypatch.setenv("MILLRACE_ROOT", str(tmp_path))
    url = str(tmp_path / "store")
    failed = StepEntry("fit", "fit", FAILED, 0.1, "3" * 64, why=("it has not run here before",))
    journal(OLD, COMPUTED_STEP, failed).close(FAILED, "SchemaError: column 'label': found none")
    found = replace(COMPUTED_STEP, state=CACHED, seconds=0.01, why=())
    small = StepEntry("compress small", "compress", COMPUTED, 1.0, "4" * 64, "5" * 64, ("library torch: 2.0 → 2.1",))
    journal(NEW, found, small).close(FINISHED)
    return url


def journal(run_id: str, *steps: StepEntry) -> Journal:
    """A journal of a run with these steps."""
    return Journal("pipeline", resolve("digits"), run_id, started=1.0, steps={step.name: step for step in steps})


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(list(arguments))
    return code, *capsys.readouterr()


def test_runs_lists_the_latest_first(store: str, capsys: pytest.CaptureFixture[str]):
    code, out, _ = said(capsys, "runs")
    lines = out.splitlines()
    assert (code, len(lines)) == (0, 2)
    assert lines[0].startswith(NEW)
    assert "finished" in lines[0]
    assert "1 cached, 1 computed" in lines[0]
    assert lines[1].startswith(OLD)
    assert "failed" in lines[1]


def test_runs_tells_programs_the_same_without_the_configuration(store: str, capsys: pytest.CaptureFixture[str]):
    told = json.loads(said(capsys, "runs", "--json")[1])
    assert [(run["run_id"], run["status"], "config" in run) for run in told] == [
        (NEW, "finished", False),
        (OLD, "failed", False),
    ]


@pytest.mark.parametrize("name", [OLD, OLD[:9], "20260101-12"])
def test_a_run_may_be_named_by_its_beginning(store: str, capsys: pytest.CaptureFixture[str], name: str):
    assert json.loads(said(capsys, "show", name, "--json")[1])["run_id"] == OLD


def test_last_is_the_latest_run(store: str, capsys: pytest.CaptureFixture[str]):
    assert json.loads(said(capsys, "show", "last", "--json")[1])["run_id"] == NEW


@pytest.mark.parametrize(
    ("name", "message"),
    [("2025", "run '2025': not in store .*, which has 2"), ("2026", f"2 runs begin so, {OLD} and {NEW} among them")],
)
def test_a_run_that_is_none_or_several_is_a_mistake_that_says_so(
    store: str, capsys: pytest.CaptureFixture[str], name: str, message: str
):
    for command in ("show", "why", "report"):
        code, out, err = said(capsys, command, name)
        assert (bool(code), out) == (True, "")
        assert "Traceback" not in err
        assert re.search(message, err)


def test_show_says_why_a_run_failed_and_what_its_hits_saved(store: str, capsys: pytest.CaptureFixture[str]):
    assert "SchemaError: column 'label': found none" in said(capsys, "show", OLD)[1]
    out = said(capsys, "show", NEW)[1]
    assert "SchemaError" not in out
    assert "saved" in out


def test_why_says_what_changed_and_who_made_what_was_found(store: str, capsys: pytest.CaptureFixture[str]):
    assert "- train.epochs: 2 → 3" in said(capsys, "why", OLD)[1]
    out = said(capsys, "why", NEW)[1]
    assert f"- found: made by {OLD}" in out
    assert "- library torch: 2.0 → 2.1" in out


@pytest.mark.parametrize("step", ["compress small", "compress"])
def test_why_takes_a_step_by_its_name_or_its_kind(store: str, capsys: pytest.CaptureFixture[str], step: str):
    told = json.loads(said(capsys, "why", NEW, step, "--json")[1])
    assert [entry["name"] for entry in told["steps"]] == ["compress small"]


def test_a_step_that_the_run_does_not_have_is_answered_with_those_it_has(
    store: str, capsys: pytest.CaptureFixture[str]
):
    code, out, err = said(capsys, "why", NEW, "trian")
    assert (bool(code), out) == (True, "")
    assert f"step 'trian': not in run {NEW}, whose steps are: prepare, compress small" in err


def test_a_run_that_was_killed_is_lost_and_one_that_lives_is_running(store: str, capsys: pytest.CaptureFixture[str]):
    run_id = "20260103-120000-cccccccc"
    journal(run_id, COMPUTED_STEP).keep(RUNNING)
    with running(open_store(store), run_id):
        assert "running" in said(capsys, "runs")[1].splitlines()[0]
    assert "lost" in said(capsys, "runs")[1].splitlines()[0]
    assert json.loads(said(capsys, "show", "last", "--json")[1])["status"] == "lost"


@pytest.mark.parametrize("content", ["", "{", "[]", "{}"])
def test_a_manifest_that_cannot_be_read_hides_no_other_run(
    store: str, capsys: pytest.CaptureFixture[str], content: str
):
    (Path(store) / "runs" / f"{NEW}.json").write_text(content)
    code, out, err = said(capsys, "runs")
    assert code == 0
    assert [line[: len(OLD)] for line in out.splitlines()] == [OLD]
    assert f"run {NEW}" in err
    code, out, err = said(capsys, "show", "last")
    assert (bool(code), out) == (True, "")
    assert f"run {NEW}" in err
    assert "Traceback" not in err


def test_without_a_store_there_is_a_next_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("MILLRACE_ROOT", str(tmp_path))
    _, out, err = said(capsys, "runs")
    assert "millrace" in out + err
    assert "Traceback" not in err
