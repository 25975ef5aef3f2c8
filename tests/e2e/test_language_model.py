"""A language model from a folder of files to a completed line: the chain, the command, the words that people read."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from commands import Ended

Command = Callable[..., Ended]
CONFIG = """
name: writer
data:
  format: documents
  kind: text
  task: language_model
  sources: [{url: "texts/*.txt"}]
  passage_bytes: 512
transforms: {vocabulary_size: 300, max_tokens: 48}
train:
  family: gpt
  gpt: {width: 32, heads: 2, layers: 1}
  epochs: 3
  batch_size: 8
  learning_rate: 0.01
compress:
  recipes:
    - {name: int8, passes: [{kind: quantise, mode: weights}]}
evaluate: {metric: bits_per_byte, margin: 0.2, minimum: 2.0, resamples: 200}
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty texts about six names each; a name that is called was defined before, in lower case and with a number."""
    folder, draw = tmp_path_factory.mktemp("language"), random.Random(1)
    (folder / "texts").mkdir()
    for number in range(40):
        names = [f"{draw.choice(['alpha', 'beta', 'gamma'])}{draw.randrange(10)}" for _ in range(6)]
        lines = [f"def {draw.choice(names)}(self):\n    return {draw.choice(names)}\n\n" for _ in range(40)]
        (folder / "texts" / f"{number}.txt").write_text("".join(lines))
    (folder / "texts" / "bad.txt").write_bytes(b"\xff\x00")
    (folder / "writer.yaml").write_text(CONFIG)
    return folder


@pytest.fixture(scope="module")
def summary(millrace: Command, home: Path) -> dict[str, Any]:
    ended = millrace("run", "--config", "writer.yaml", "--json", home=home)
    assert ended.code == 0, ended.err
    return ended.json


def test_a_folder_of_texts_ends_in_a_released_model_that_beats_gzip(summary: dict[str, Any]):
    assert summary["release"] | {"digest": ""} == {"model": "writer", "version": 1, "alias": "champion", "digest": ""}
    assert summary["data"]["rows_quarantined"] == 1
    assert summary["metrics"]["bits_per_byte"]["value"] < summary["compressors"]["gzip -9"]
    assert set(summary["metrics"]) == {"bits_per_byte", "perplexity", "word_perplexity"}
    assert summary["compression"]["size_ratio"] > 2
    page = Path(summary["report"]).read_text()
    assert "Bits per byte" in page
    assert "gzip" in page


def test_the_command_completes_a_text_and_scores_a_file(millrace: Command, summary: dict[str, Any], home: Path):
    ended = millrace("complete", "writer", "def al", "--max-tokens", "20", home=home)
    assert (ended.code, ended.out[:8]) == (0, "def alph"), ended.err
    assert "return" in ended.out
    scored = millrace("predict", "writer", "--input", "texts/1.txt", home=home)
    assert 0 < json.loads(scored.out)["prediction"] < 2
    refused = millrace("complete", "writer", "x", "--max-tokens", "0", home=home)
    assert (refused.code, refused.out) == (2, "")
