"""The whole chain as a user meets it: the command, real processes, a real Prefect server, the default preset."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil
import pytest
from commands import COMMAND, Ended, environment, wait_for

Command = Callable[..., Ended]
ONLY_INT8 = ("--set", "compress.recipes=[{name: int8, passes: [{kind: quantise}]}]")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def first(millrace: Command, home: Path) -> dict:
    ended = millrace("run", "digits", "--json", home=home)
    assert ended.code == 0, ended.err
    return ended.json


@pytest.fixture(scope="module")
def killed(prefect_api: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, str]:
    """The summary and log of the same run in another folder with its own storage, its trainer killed in mid-epoch."""
    folder = tmp_path_factory.mktemp("killed")
    command = subprocess.Popen(
        [*COMMAND, "run", "digits", "--json", "--set", "train.checkpoint_every_steps=5"],
        cwd=folder,
        env=environment(folder / ".millrace", PREFECT_API_URL=prefect_api),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    work = folder / ".millrace" / "work"
    wait_for(lambda: list(work.glob("unfinished/train-*/checkpoints/step-*")), "the first checkpoint", seconds=180)
    os.kill(wait_for(lambda: _child_running(command.pid, "tasks.nn.trainer"), "the trainer"), signal.SIGKILL)
    out, err = command.communicate(timeout=300)
    assert command.returncode == 0, err
    return json.loads(out), err


def test_the_default_preset_ends_with_a_promoted_champion(first: dict):
    assert first["verdict"]["decision"] == "promote"
    assert first["release"]["version"] == 1
    assert {entry["state"] for entry in first["steps"]} == {"computed"}
    data = first["data"]
    assert data["rows_in"] == data["rows_out"] + data["rows_quarantined"] == 1797
    assert first["metrics"]["accuracy"]["value"] > 0.95
    assert first["compression"]["size_ratio"] >= 4
    assert Path(first["report"]).read_text().startswith("<!doctype html>")


def test_the_same_run_again_finds_every_step_cached_in_prefect_too(
    millrace: Command, home: Path, first: dict, prefect_api: str
):
    ended = millrace("run", "digits", "--json", home=home)
    assert ended.code == 0, ended.err
    assert {entry["state"] for entry in ended.json["steps"]} == {"cached"}
    assert ended.json["verdict"] == {"decision": "promote", "reasons": ["already the champion"]}
    assert ended.json["release"] == first["release"]
    names = _task_states_of_latest_pipeline(prefect_api)
    assert len(names) == len(ended.json["steps"])
    assert set(names) == {"Cached"}


def test_a_cached_run_loads_neither_dask_nor_torch_and_starts_no_process(home: Path, first: dict, prefect_api: str):
    script = """
import subprocess, sys
started = []
real = subprocess.Popen.__init__
def spy(self, args, *rest, **more):
    started.append(args)
    real(self, args, *rest, **more)
subprocess.Popen.__init__ = spy
from flows.by_hand import main
from flows.presets import digits
code = main({"config": digits().model_dump(mode="json"), "json": True, "debug": False, "force": False})
heavy = [name for name in ("torch", "dask", "distributed", "sklearn") if name in sys.modules]
programs = [args for args in started if "tasks." in str(args) or "dask" in str(args)]
sys.stderr.write(f"HEAVY {heavy} PROGRAMS {programs}")
sys.exit(code)
"""
    ended = subprocess.run(
        [sys.executable, "-c", script],
        cwd=home,
        env=environment(home / ".millrace", PREFECT_API_URL=prefect_api),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "HEAVY [] PROGRAMS []" in ended.stderr


def test_another_folder_with_the_same_storage_computes_nothing(
    millrace: Command, home: Path, first: dict, tmp_path: Path
):
    ended = millrace("run", "digits", "--json", "--storage", str(home / ".millrace" / "store"), home=tmp_path)
    assert ended.code == 0, ended.err
    assert {entry["state"] for entry in ended.json["steps"]} == {"cached"}


def test_a_trainer_killed_in_mid_epoch_goes_on_from_its_checkpoint(killed: tuple[dict, str]):
    summary, err = killed
    assert "failed for now" in err
    assert "train: resumed" in err
    assert summary["verdict"]["decision"] == "promote"


def test_another_folder_with_its_own_storage_gives_the_same_digests_even_after_a_kill(
    first: dict, killed: tuple[dict, str]
):
    summary, _ = killed
    assert summary["data"] == first["data"]
    assert summary["metrics"] == first["metrics"]
    assert summary["release"]["digest"] == first["release"]["digest"]
    assert _keys(summary) == _keys(first)


def test_a_flipped_byte_is_found_by_verify_and_mended_by_the_next_run(millrace: Command, home: Path, first: dict):
    assert millrace("verify", home=home).code == 0
    blob = max((home / ".millrace" / "store" / "blobs").rglob("*.onnx"), key=lambda path: path.stat().st_size)
    content = blob.read_bytes()
    blob.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    found = millrace("verify", home=home)
    assert (found.code, blob.name in found.out) == (1, True)
    again = millrace("run", "digits", "--json", home=home)
    assert again.code == 0, again.err
    states = {entry["name"]: entry["state"] for entry in again.json["steps"]}
    assert [name for name, state in states.items() if state == "computed"] == ["compress fp32"]
    assert again.json["release"] == first["release"]
    assert blob.read_bytes() == content
    assert millrace("verify", home=home).code == 0


def test_a_poisoned_candidate_is_rejected_and_the_champion_still_answers(millrace: Command, home: Path, first: dict):
    random_weights = ("--set", "train.learning_rate=0", "--set", "train.epochs=1")
    ended = millrace("run", "digits", "--json", *random_weights, *ONLY_INT8, home=home)
    assert ended.code == 3, ended.err
    assert ended.json["verdict"]["decision"] == "reject"
    assert ended.json["release"]["version"] is None
    items = home / "items.json"
    items.write_text(json.dumps([[[0] * 8] * 8]))
    answer = millrace("predict", "digits", "--input", str(items), home=home)
    assert answer.code == 0, answer.err
    assert json.loads(answer.out)["prediction"] in {str(digit) for digit in range(10)}
    versions = json.loads(millrace("models", "digits", "--json", home=home).out)["digits"]
    assert [(version["version"], version["aliases"]) for version in versions] == [(1, ["champion"])]


def test_a_rolled_back_model_does_not_come_back_by_itself(millrace: Command, first: dict, home: Path):
    other = ("run", "digits", "--json", "--set", "train.seed=1", *ONLY_INT8)
    second = millrace(*other, home=home)
    assert second.code == 0, second.err
    assert second.json["release"]["version"] == 2
    assert millrace("rollback", "digits", home=home).code == 0
    again = millrace(*other, home=home)
    assert again.code == 3, again.err
    assert again.json["verdict"]["decision"] == "hold"
    assert any("rolled back" in reason for reason in again.json["verdict"]["reasons"])
    assert millrace("promote", "digits", "2", home=home).code == 0
    assert millrace(*other, home=home).code == 0
    assert millrace("promote", "digits", "1", home=home).code == 0


def test_mistakes_are_one_message_without_a_traceback(millrace: Command, tmp_path: Path):
    for arguments, code, said in (
        (("run", "digitz"), 2, "did you mean 'digits'"),
        (("run", "digits", "--set", "train.epoch=3"), 2, "did you mean 'epochs'"),
        (("run", "digits", "--set", "train.epochs=0"), 2, "greater than or equal to 1"),
        (("run",), 2, "millrace presets"),
        (("run", "--config", "absent.yaml"), 2, "absent.yaml"),
        (("promote", "nobody", "1"), 1, "no such folder"),
        (("predict", "nobody", "--input", "absent.json"), 2, "absent.json"),
        (("serve", "nobody", "--no-auth"), 1, "no such folder"),
    ):
        ended = millrace(*arguments, home=tmp_path)
        assert (ended.code, "Traceback" in ended.err) == (code, False), (arguments, ended.code, ended.err)
        assert said in ended.err
        assert len(ended.err.strip().splitlines()) <= 5


def _keys(summary: dict) -> dict[str, str]:
    """The steps' keys; that of `choose` takes in the latencies that were measured."""
    return {entry["name"]: entry["key"] for entry in summary["steps"] if entry["name"] != "choose"}


def _task_states_of_latest_pipeline(api: str) -> list[str]:
    """State names of all task runs in the latest pipeline run and its stage flows."""
    query = {"sort": "START_TIME_DESC", "limit": 50}
    runs = httpx.post(f"{api}/flow_runs/filter", json=query).json()
    latest = next(run for run in runs if run["parent_task_run_id"] is None)
    since = latest["start_time"]
    stages = [run["id"] for run in runs if run["start_time"] >= since]
    filters = {"task_runs": {"flow_run_id": {"any_": stages}}, "limit": 200}

    def finished() -> list[str]:
        tasks = httpx.post(f"{api}/task_runs/filter", json=filters).json()
        steps = [task for task in tasks if not task["state"]["state_details"].get("child_flow_run_id")]
        return (
            [task["state_name"] for task in steps if task["state_type"] in ("COMPLETED", "FAILED")]
            if all(task["state_type"] == "COMPLETED" for task in steps)
            else []
        )

    return wait_for(finished, "the task runs' last states", seconds=30)


def _child_running(pid: int, program: str) -> int | None:
    for child in psutil.Process(pid).children(recursive=True):
        try:
            if program in child.cmdline():
                return child.pid
        except psutil.Error:
            continue
    return None
