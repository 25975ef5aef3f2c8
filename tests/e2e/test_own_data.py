"""A user's own CSV, from its file to predictions over HTTP: bad rows in quarantine, a model released, or held with a reason."""

import json
import random
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from commands import COMMAND, Ended, environment

Command = Callable[..., Ended]
HEADER = ["size_cm", "colour", "edible"]
ROWS = 400
BAD = {  # line in the file (the header is none) → what stands there
    10: "12.5,red",  # ragged: a cell is missing
    20: "12.5,red,yes,really",  # ragged: one too many
    30: "large,red,yes",  # no number
    40: "-3,red,yes",  # below the minimum
    50: "12.5,purple,yes",  # no such category
    60: "12.5,red,",  # no target
    70: '12.5,"red,yes',  # a quotation that nothing closes
}
RULES = {"ragged": 2, "type": 1, "range": 1, "category": 1, "missing_target": 1, "quote": 1}
CONFIG = """
name: mushrooms
data:
  format: csv
  kind: table
  target: edible
  sources: [{url: rows.csv}]
  columns:
    - {name: size_cm, type: number, minimum: 0}
    - {name: colour, type: category, categories: [red, brown, white]}
  validation_share: 0.2
  test_share: 0.4
train:
  family: sklearn
  sklearn: {estimator: hist_gradient_boosting, iterations: 20, max_leaves: 8}
evaluate:
  resamples: 200
  # about 160 test rows: even a dozen lost ones are surely within 15 points
  margin: 0.15
"""


def rows(count: int, seed: int) -> list[list[str]]:
    """Mushrooms: large white and brown ones are edible, red ones never; one in fifty is mistaken."""
    draw = random.Random(seed)
    made = []
    for _ in range(count):
        size, colour = round(draw.uniform(1, 30), 2), draw.choice(["red", "brown", "white"])
        edible = (colour != "red" and size > 12) != (draw.random() < 0.02)
        made.append([str(size), colour, "yes" if edible else "no"])
    return made


def write(path: Path, data: list[list[str]], bad: dict[int, str] | None = None) -> None:
    lines = [",".join(row) for row in data]
    for number, line in (bad or {}).items():
        lines[number - 1] = line
    path.write_text("\n".join([",".join(HEADER), *lines]) + "\n")


@contextmanager
def served(home: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The service started by the command, and its URL from its first line."""
    with (home / "serve.log").open("w") as log:
        process = subprocess.Popen(
            [*COMMAND, "serve", *arguments],
            cwd=home,
            env=environment(home / ".millrace"),
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, (home / "serve.log").read_text()
        yield process, json.loads(line)["url"]
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    write(folder / "rows.csv", rows(ROWS, seed=1), BAD)
    (folder / "mushrooms.yaml").write_text(CONFIG)
    return folder


@pytest.fixture(scope="module")
def summary(millrace: Command, home: Path) -> dict[str, Any]:
    ended = millrace("run", "--config", "mushrooms.yaml", "--json", home=home)
    assert ended.code == 0, ended.err
    return ended.json


def test_own_data_end_in_a_released_model(summary: dict[str, Any]):
    assert summary["verdict"]["decision"] == "promote"
    assert (summary["release"]["model"], summary["release"]["version"]) == ("mushrooms", 1)
    accuracy = summary["metrics"]["accuracy"]
    assert accuracy["low"] <= accuracy["value"] <= accuracy["high"]
    assert accuracy["value"] > 0.85


def test_every_bad_row_is_in_quarantine_and_the_counts_reconcile(summary: dict[str, Any], home: Path):
    data = summary["data"]
    assert (data["rows_in"], data["rows_out"], data["rows_quarantined"]) == (ROWS, ROWS - len(BAD), len(BAD))
    store = home / ".millrace" / "store"
    meta = json.loads((store / "manifests" / f"{data['digest']}.json").read_bytes())["meta"]
    assert {entry["rule"]: entry["count"] for entry in meta["quarantine"]} == RULES
    assert sum(meta["splits"].values()) == data["rows_out"]


def test_a_file_of_rows_is_answered_a_line_each(millrace: Command, summary: dict[str, Any], home: Path):
    known = rows(25, seed=2)
    write(home / "new.csv", known)
    ended = millrace("predict", "mushrooms", "--input", "new.csv", home=home)
    assert ended.code == 0, ended.err
    answers = [json.loads(line) for line in ended.out.splitlines()]
    assert len(answers) == len(known)
    right = sum(answer["prediction"] == row[-1] for answer, row in zip(answers, known, strict=True))
    assert right >= 21
    for answer in answers:
        assert set(answer["probabilities"]) == {"yes", "no"}
        assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-4)
        assert answer["prediction"] == max(answer["probabilities"], key=answer["probabilities"].get)


def test_a_row_that_cannot_be_predicted_is_named(millrace: Command, summary: dict[str, Any], home: Path):
    (home / "wrong.csv").write_text("size_cm,colour\n12,red\nlarge,red\n")
    ended = millrace("predict", "mushrooms", "--input", "wrong.csv", home=home)
    assert (ended.code, ended.out) == (1, "")
    assert "item 1: column 'size_cm': found str 'large', wanted a number" in ended.err
    assert "Traceback" not in ended.err


def test_the_served_model_answers_as_predict_does_and_stops_with_code_0(
    millrace: Command, summary: dict[str, Any], home: Path
):
    items = [{"size_cm": float(size), "colour": colour} for size, colour, _ in rows(10, seed=3)]
    (home / "items.json").write_text(json.dumps(items))
    lines = millrace("predict", "mushrooms", "--input", "items.json", home=home).out.splitlines()
    with served(home, "mushrooms", "--port", "0", "--no-auth") as (process, url):
        answer = httpx.post(f"{url}/predict", json={"input_data": items}, timeout=20)
        assert answer.status_code == 200, answer.text
        assert answer.json() == {
            "prediction": [json.loads(line)["prediction"] for line in lines],
            "model": "mushrooms",
            "version": 1,
        }
        refused = httpx.post(f"{url}/predict", json={"input_data": [{"size_cm": 3, "color": "red"}]}, timeout=20)
        assert refused.status_code == 422
        assert "colour" in refused.text
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0


def test_twenty_test_rows_hold_and_say_how_many_more_would_do(millrace: Command, tmp_path: Path):
    write(tmp_path / "train.csv", rows(380, seed=4))
    write(tmp_path / "test.csv", rows(20, seed=5))
    (tmp_path / "mushrooms.yaml").write_text(CONFIG)
    twenty = ("--set", "data.sources=[{url: train.csv, split: train}, {url: test.csv, split: test}]")
    more = (
        *twenty,
        "--set",
        "evaluate.margin=0.1",
        "--set",
        "compress.recipes=[{name: half, passes: [{kind: truncate}]}]",
    )
    ended = millrace("run", "--config", "mushrooms.yaml", *more, "--json", home=tmp_path)
    assert ended.code == 3, ended.err
    assert ended.json["verdict"]["decision"] == "hold"
    found = re.search(r"(\d[\d,]*) more test examples would do \(20 now\)", ended.json["verdict"]["reasons"][0])
    assert found, ended.json["verdict"]["reasons"]
    assert int(found.group(1).replace(",", "")) >= 9
    assert ended.json["release"]["version"] is None
    assert "no model" in millrace("models", home=tmp_path).out
