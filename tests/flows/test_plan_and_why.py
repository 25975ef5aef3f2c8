"""`plan` before a run and `why` after it, by the command, on a small real chain: what is looked at, loaded, forced, and told of a failure."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from commands import COMMAND, Ended, environment, wait_for
from mutated_chain import rows

from flows.planning import DEPENDS, HIT, MISS

HEAVY = {"prefect", "dask", "distributed", "pandas", "torch", "sklearn"}
CONFIG = {
    "name": "mushrooms",
    "data": {"format": "csv", "kind": "table", "target": "edible", "sources": [{"url": "*.csv"}], "test_share": 0.4},
    "train": {
        "family": "sklearn",
        "sklearn": {"estimator": "hist_gradient_boosting", "iterations": 5, "max_leaves": 4},
    },
    "compress": {"recipes": [{"name": "half", "passes": [{"kind": "truncate"}]}]},
    "evaluate": {"resamples": 200, "margin": 0.3},
    "cluster": {"workers": 1},
}
LISTS_MODULES = """
import json, sys
from flows.cli import main
code = main(json.loads(sys.argv[1]))
sys.stderr.write("\\nMODULES " + json.dumps(sorted(sys.modules)))
sys.exit(code)
"""


@dataclass(frozen=True)
class Home:
    """A folder with data, a configuration and a store; `api`: a Prefect server, whether a command uses it or not."""

    folder: Path
    api: str

    def millrace(self, *arguments: str, server: bool = False) -> Ended:
        """How the command ended."""
        return self._ended([*COMMAND, *arguments], {"PREFECT_API_URL": self.api} if server else {})

    def loaded(self, *arguments: str) -> tuple[Ended, set[str]]:
        """The same, and which of the heavy libraries it loaded; no Prefect server is known to it."""
        ended = self._ended([sys.executable, "-c", LISTS_MODULES, json.dumps(arguments)], {})
        return ended, HEAVY & set(json.loads(ended.err.rpartition("MODULES ")[2]))

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """The command, begun."""
        told = environment(self.folder / ".millrace", PREFECT_API_URL=self.api)
        return subprocess.Popen([*COMMAND, *arguments], cwd=self.folder, env=told, stderr=subprocess.PIPE, text=True)

    def _ended(self, argv: list[str], more: Mapping[str, str]) -> Ended:
        told = environment(self.folder / ".millrace", **more)
        done = subprocess.run(argv, cwd=self.folder, env=told, capture_output=True, text=True, timeout=600, check=False)
        return Ended(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def new_home(prefect_api: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Home]:
    """A function that makes a home in which nothing has run yet."""

    def make() -> Home:
        folder = tmp_path_factory.mktemp("home")
        (folder / "rows.csv").write_text(
            "".join([rows(1), *(text.partition("\n")[2] for text in map(rows, (2, 3, 4)))])
        )
        (folder / "run.json").write_text(json.dumps(CONFIG))
        return Home(folder, prefect_api)

    return make


@pytest.fixture(scope="module")
def home(new_home: Callable[[], Home]) -> Home:
    """A home in which all has run once."""
    made = new_home()
    ended = made.millrace("run", "--config", "run.json", "--json", server=True)
    assert ended.code == 0, ended.err
    return made


def steps_of(ended: Ended) -> dict[str, dict[str, Any]]:
    assert ended.code == 0, ended.err
    return {step["name"]: step for step in ended.json["steps"]}


def test_a_plan_where_nothing_has_run_says_so_and_leaves_no_trace(new_home: Callable[[], Home]):
    made = new_home()
    planned = steps_of(made.millrace("plan", "--config", "run.json", "--json"))
    assert planned["prepare"]["state"] == MISS
    assert planned["prepare"]["why"] == ["it has not run here before"]
    assert {step["state"] for name, step in planned.items() if name != "prepare"} == {DEPENDS}
    assert planned["train"]["depends_on"] == ["encode"]
    assert list(planned)[-1] == "release"
    assert not [path for path in (made.folder / ".millrace" / "store").rglob("*") if path.is_file()]


def test_a_plan_after_a_run_finds_everything_and_names_the_run(home: Home):
    run_id = home.millrace("runs", "--json").json[-1]["run_id"]
    planned = steps_of(home.millrace("plan", "--config", "run.json", "--json"))
    assert {(step["state"], step["made_by"]) for step in planned.values()} == {(HIT, run_id)}
    text = home.millrace("plan", "--config", "run.json").out
    assert "A run would find everything." in text
    assert f"made by {run_id}" in text


def test_a_plan_says_what_changed_what_follows_and_how_long_it_took(home: Home):
    told = home.millrace("plan", "--config", "run.json", "--set", "train.sklearn.iterations=6", "--json").json
    planned = {step["name"]: step for step in told["steps"]}
    assert planned["encode"]["state"] == HIT
    assert (planned["train"]["state"], planned["train"]["why"]) == (MISS, ["train.sklearn.iterations: 5 → 6"])
    assert planned["train"]["seconds"] > 0
    assert planned["compress fp32"]["state"] == DEPENDS
    assert "train" in planned["compress fp32"]["depends_on"]
    assert told["seconds"] >= planned["train"]["seconds"]


@pytest.mark.parametrize("arguments", [("plan", "--config", "run.json"), ("run", "--config", "run.json", "--json")])
def test_a_plan_and_a_run_that_finds_everything_load_nothing_heavy(home: Home, arguments: tuple[str, ...]):
    ended, heavy = home.loaded(*arguments)
    assert (ended.code, heavy) == (0, set())
    if arguments[0] == "run":
        assert {step["state"] for step in ended.json["steps"]} == {"cached"}
        shown = home.millrace("show", "last", "--json").json
        assert (shown["run_id"], shown["status"]) == (ended.json["run_id"], "finished")
        assert ended.json["run_id"] in home.millrace("why", "last").out


def test_why_names_the_run_that_made_each_hit(home: Home):
    first = home.millrace("runs", "--json").json[-1]["run_id"]
    assert home.millrace("run", "--config", "run.json", "--json").code == 0
    told = home.millrace("why", "last", "--json").json
    assert {(step["state"], step["made_by"]) for step in told["steps"]} == {("cached", first)}
    assert home.millrace("why", first, "train").out.endswith("- it has not run here before\n")


def test_a_report_is_drawn_afresh_from_what_a_run_stored(home: Home):
    run_id = home.millrace("runs", "--json").json[-1]["run_id"]
    ended = home.millrace("report", run_id)
    assert ended.code == 0, ended.err
    report = Path(ended.out.strip())
    assert run_id in report.name
    assert "mushrooms" in report.read_text()
    report.unlink()
    assert home.millrace("report", run_id).code == 0
    assert report.exists()


def test_a_forced_run_computes_everything_and_says_that_it_was_forced(home: Home):
    before = steps_of(home.millrace("plan", "--config", "run.json", "--json"))
    ended = home.millrace("run", "--config", "run.json", "--force", "--json", server=True)
    assert ended.code == 0, ended.err
    told = home.millrace("why", ended.json["run_id"], "--json").json["steps"]
    assert {(step["state"], *step["why"]) for step in told} == {("computed", "forced")}
    again = steps_of(home.millrace("plan", "--config", "run.json", "--json"))
    assert {step["state"] for step in again.values()} == {HIT}
    assert {
        n: s["output"] for n, s in again.items() if n in ("prepare", "fit", "encode", "train", "compress fp32")
    } == {n: s["output"] for n, s in before.items() if n in ("prepare", "fit", "encode", "train", "compress fp32")}
    assert again["train"]["made_by"] == ended.json["run_id"]


def test_a_failed_run_leaves_a_manifest_that_says_why(new_home: Callable[[], Home]):
    made = new_home()
    ended = made.millrace("run", "--config", "run.json", "--set", "data.target=colours", server=True)
    assert ended.code not in (0, 3)
    shown = made.millrace("show", "last", "--json").json
    assert shown["status"] == "failed"
    assert "colours" in shown["error"]
    assert [step["state"] for step in shown["steps"]] == ["failed"]
    assert "colours" in made.millrace("show", "last").out
    assert "failed" in made.millrace("runs").out


def test_a_killed_run_shows_as_running_or_lost(new_home: Callable[[], Home]):
    made = new_home()
    command = made.start("run", "--config", "run.json")
    runs = made.folder / ".millrace" / "store" / "runs"
    wait_for(lambda: runs.is_dir() and list(runs.iterdir()), "the first step", seconds=300)
    assert "running" in made.millrace("runs").out
    command.send_signal(signal.SIGKILL)
    command.communicate()
    assert made.millrace("show", "last", "--json").json["status"] in ("running", "lost")
    assert made.millrace("why", "last").code == 0
