"""Ctrl-C in the middle, the same run again, two at the same time, and a champion that cannot be compared: on a small preset."""

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from commands import COMMAND, Ended, environment, wait_for

Command = Callable[..., Ended]
ONLY_INT8 = ("--set", "compress.recipes=[{name: int8, passes: [{kind: quantise}]}]")
CHAIN = ("run", "breast_cancer", "--json", *ONLY_INT8)
LONG = (*CHAIN, "--set", "train.epochs=150", "--set", "train.checkpoint_every_steps=20")
FEW_COLUMNS = "data.features=[worst radius, worst texture, worst smoothness, worst concave points]"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def interrupted(home: Path) -> tuple[int, str]:
    """How a run with Prefect's temporary server ended that got Ctrl-C in mid-training, as a terminal sends it: to the whole group."""
    command = _started(home, {}, *LONG)
    wait_for(
        lambda: list((home / ".millrace" / "work").glob("unfinished/train-*/checkpoints/step-*")),
        "the first checkpoint",
        seconds=180,
    )
    os.killpg(command.pid, signal.SIGINT)
    _, err = command.communicate(timeout=60)
    return command.returncode, err


@pytest.fixture(scope="module")
def together(home: Path, prefect_api: str, interrupted: tuple[int, str]) -> list[tuple[dict, str]]:
    """The summaries and logs of two runs of that same configuration, started at the same time after the interruption."""
    commands = [_started(home, {"PREFECT_API_URL": prefect_api}, *LONG) for _ in range(2)]
    ended = [(command.communicate(timeout=300), command.returncode) for command in commands]
    assert [code for _, code in ended] == [0, 0], ended
    return [(json.loads(out), err) for (out, err), _ in ended]


def test_ctrl_c_ends_the_run_with_one_message_and_leaves_no_process(home: Path, interrupted: tuple[int, str]):
    code, err = interrupted
    assert code == 130
    assert "Traceback" not in err
    assert err.strip().splitlines()[-1].startswith("millrace: stopped.")
    assert _processes_in(home) == []


def test_after_ctrl_c_the_same_command_goes_on_from_what_was_finished(together: list[tuple[dict, str]]):
    for summary, _ in together:
        states = {entry["name"]: entry["state"] for entry in summary["steps"]}
        assert {states["prepare"], states["fit"], states["encode"]} == {"cached"}
    assert "train: resumed" in together[0][1] + together[1][1]


def test_two_runs_at_the_same_time_do_each_step_once_and_agree(home: Path, together: list[tuple[dict, str]]):
    (one, _), (two, _) = together
    assert one["metrics"] == two["metrics"]
    assert one["release"]["digest"] == two["release"]["digest"]
    records = list((home / ".millrace" / "store" / "steps").glob("*/*.json"))
    assert len(records) == len({path.parent for path in records})


def test_a_champion_that_wants_other_columns_holds_the_candidate(
    millrace: Command, home: Path, together: list[tuple[dict, str]]
):
    ended = millrace(*CHAIN, "--set", FEW_COLUMNS, home=home)
    assert ended.code == 3, ended.err
    assert ended.json["verdict"]["decision"] == "hold"
    assert any("cannot be compared with the champion" in reason for reason in ended.json["verdict"]["reasons"])


def _started(home: Path, settings: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    # what a shell runs in its background is deaf to Ctrl-C, and so is every program that it starts
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=home,
        env=environment(home / ".millrace", **settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _processes_in(home: Path) -> list[str]:
    """Programs that still run in `home`."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd() == str(home) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return found
