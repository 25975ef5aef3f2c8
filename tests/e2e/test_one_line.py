"""A file of one's own in one line, by the command; then the same configuration from a plain Python script."""

import csv
import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from commands import Ended, environment

from flows.settings import load_config, resolve

Command = Callable[..., Ended]
HALF = [{"name": "half", "passes": [{"kind": "truncate"}]}]
OVERRIDES = {"train.sklearn.iterations": 20, "evaluate.margin": 0.15, "compress.recipes": HALF}
OPTIONS = [part for name, value in OVERRIDES.items() for part in ("--set", f"{name}={json.dumps(value)}")]
SCRIPT = """
import json, sys
import pandas as pd
from flows.pipeline import pipeline
from flows.run_file import run_file
from flows.settings import load_config

result = pipeline(config=load_config(sys.argv[1]))
again = run_file("mushrooms.csv", target="edible", overrides=json.loads(sys.argv[2]))
table = pd.read_csv("mushrooms.csv").head(20)  # its target and the columns that were left out included
rows = [{"size_cm": 25.5, "colour": "white"}, {"size_cm": None, "colour": "red"}]
print("TOLD " + json.dumps({
    "summary": json.loads(result.to_json()),
    "verdict": result.verdict.decision,
    "accuracy": result.metrics["accuracy"]["value"],
    "report": str(result.report),
    "shown": result._repr_html_()[:15],
    "rows": result.model.predict(rows),
    "probabilities": result.model.probabilities(rows),
    "right": sum(a == b for a, b in zip(result.model.predict(table), table["edible"])),
    "again": [again.summary["release"], {entry["state"] for entry in again.summary["steps"]} == {"cached"}],
    "same": result.summary == json.loads(result.to_json()),
    "heavy": [name for name in ("torch", "distributed") if name in sys.modules],
}))
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, draw = tmp_path_factory.mktemp("line"), random.Random(1)
    with (folder / "mushrooms.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "size_cm", "colour", "edible"])
        for number in range(600):
            size, colour = round(draw.uniform(1, 30), 2), draw.choice(["red", "brown", "white"])
            rows.writerow([number, size, colour, "yes" if colour != "red" and size > 12 else "no"])
    return folder


@pytest.fixture(scope="module")
def run(millrace: Command, home: Path) -> Ended:
    ended = millrace("run", "mushrooms.csv", "--target", "edible", "--json", *OPTIONS, home=home)
    assert ended.code == 0, ended.err
    return ended


def test_one_line_ends_in_a_served_model_and_says_what_was_guessed(run: Ended):
    assert run.json["verdict"]["decision"] == "promote"
    assert (run.json["release"]["model"], run.json["release"]["version"]) == ("mushrooms", 1)
    assert run.json["metrics"]["accuracy"]["value"] > 0.95
    for line in ("target    edible: 2 classes", "left out  id: ", "may fall by 0.15", "config    "):
        assert line in run.err, run.err


def test_the_yaml_beside_the_run_is_the_configuration_that_was_run(run: Ended, home: Path):
    root = home / ".millrace"
    record = json.loads(next((root / "store" / "runs").rglob("*.json")).read_bytes())
    config = resolve(config=load_config(str(root / "configs" / "mushrooms.yaml")))
    assert config.model_dump(mode="json") == record["config"]


def test_a_plain_script_gets_an_object_that_knows_all_and_predicts(run: Ended, home: Path, prefect_api: str):
    (home / "script.py").write_text(SCRIPT)  # with no guard around its call
    ended = subprocess.run(
        [sys.executable, "script.py", str(home / ".millrace/configs/mushrooms.yaml"), json.dumps(OVERRIDES)],
        cwd=home,
        env=environment(home / ".millrace", PREFECT_API_URL=prefect_api),
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    told: dict[str, Any] = json.loads(ended.stdout.rpartition("TOLD ")[2])
    assert {entry["state"] for entry in told["summary"]["steps"]} == {"cached"}
    assert (told["heavy"], told["same"]) == ([], True)
    for name in ("metrics", "release", "data"):
        assert told["summary"][name] == run.json[name]
    assert (told["verdict"], told["accuracy"]) == ("promote", run.json["metrics"]["accuracy"]["value"])
    assert (Path(told["report"]).exists(), told["shown"]) == (True, "<iframe srcdoc=")
    assert told["again"] == [run.json["release"], True]
    assert told["rows"] == ["yes", "no"]
    assert [max(odds, key=odds.get) for odds in told["probabilities"]] == ["yes", "no"]
    assert told["right"] >= 18
    assert "= prepare" in ended.stderr  # progress is shown
    assert "INFO" not in ended.stderr
    assert [path.name for path in (home / ".millrace/configs").iterdir()] == ["mushrooms.yaml"]


def test_options_for_a_file_are_refused_beside_a_preset(millrace: Command, home: Path):
    for arguments, message in (
        (("run", "digits", "--target", "label"), "--target: found digits, wanted a file"),
        (("run", "mushrooms.csv", "--config", "x.yaml"), "--config: found mushrooms.csv beside it"),
        (("run", "mushrooms.csv"), "the likeliest: --target edible"),
        (("run", "mushroms.csv", "--target", "edible"), "did you mean 'mushrooms.csv'?"),
        (("run", "mushrooms"), "preset 'mushrooms': not found"),
    ):
        ended = millrace(*arguments, home=home)
        assert ended.code in (1, 2), arguments
        assert message in ended.err, ended.err
        assert len(ended.err.splitlines()) <= 5
        assert "Traceback" not in ended.err
