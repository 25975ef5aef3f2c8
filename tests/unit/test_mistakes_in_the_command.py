"""Mistakes that the command finds before anything starts: one message of at most five lines, exit code 1 or 2, nothing made."""

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from flows.cli import main

FAILED, MISUSE = 1, 2
LONGEST = 5
FILES = {
    "half.yaml": "name: reviews\ndata: {kind: text, sources: [",
    "list.yaml": "- name: reviews\n",
    "text.yaml": "reviews\n",
    "empty.yaml": "",
    "partial.yaml": "name: reviews\ndata: {kind: text, sources: [{url: a.csv}]}\n",
    "typos.yaml": "name: Reviews\ntrain: {famly: mlp}\ndata: {kind: picture, source: [], csw: {}, taks: x, rooot: z}\n",
    "half.json": '[{"a": 1}',
    "a-file": "",
}
CONFIG = ("run", "--config")
DIGITS = ("run", "digits", "--set")

MISTAKES: dict[str, tuple[tuple[str, ...], int, str]] = {
    "nothing to run": (("run",), MISUSE, "millrace presets"),
    "a misspelt preset": (("run", "digitz"), MISUSE, "did you mean 'digits'?"),
    "a missing configuration": ((*CONFIG, "absent.yaml"), MISUSE, "config absent.yaml: cannot be read"),
    "a folder as configuration": ((*CONFIG, "."), MISUSE, "cannot be read"),
    "half a YAML": ((*CONFIG, "half.yaml"), MISUSE, "config half.yaml: no valid YAML"),
    "a YAML that is a list": ((*CONFIG, "list.yaml"), MISUSE, "found list, wanted a mapping"),
    "a YAML that is a word": ((*CONFIG, "text.yaml"), MISUSE, "found str, wanted a mapping"),
    "an empty YAML": ((*CONFIG, "empty.yaml"), MISUSE, "config empty.yaml"),
    "a binary configuration": ((*CONFIG, "noise.yaml"), MISUSE, "config noise.yaml: no valid YAML"),
    "a section that is missing": ((*CONFIG, "partial.yaml"), MISUSE, "config train: missing"),
    "many mistakes at once": ((*CONFIG, "typos.yaml"), MISUSE, "and 5 more"),
    "a misspelt key": ((*DIGITS, "train.epoch=3"), MISUSE, "did you mean 'epochs'?"),
    "a value of a wrong type": ((*DIGITS, "train.epochs=many"), MISUSE, 'config train.epochs: found "many"'),
    "a value out of bounds": ((*DIGITS, "train.epochs=0"), MISUSE, "config train.epochs: found 0"),
    "an override without a value": ((*DIGITS, "train.epochs"), MISUSE, "wanted section.field=value"),
    "an override that is no YAML": ((*DIGITS, "train.epochs=["), MISUSE, "the value is no YAML"),
    "an override without a name": ((*DIGITS, "=3"), MISUSE, "found an empty name"),
    "a model name with ../": ((*DIGITS, "name=../digits"), MISUSE, "config name"),
    "an unknown family": ((*DIGITS, "train.family=forest"), MISUSE, "config train.family"),
    "a family for other data": ((*DIGITS, "train.family=textcnn"), MISUSE, "wanted cnn"),
    "a metric for another task": ((*DIGITS, "evaluate.metric=rmse"), MISUSE, "evaluate.metric is 'rmse'"),
    "no rows left to train on": ((*DIGITS, "data.test_share=0.9"), MISUSE, "wanted less than 1"),
    "a negative margin": ((*DIGITS, "evaluate.margin=-1"), MISUSE, "config evaluate.margin"),
    "a password in a URL": ((*DIGITS, "data.root=s3://me:secret@bucket"), MISUSE, "from the environment"),
    "an unknown kind of store": (("run", "digits", "--storage", "ftp://host/x"), MISUSE, "ftp://host/x"),
    "a store that is a file": (("models", "--storage", "a-file"), FAILED, "a-file"),
    "a store that is not there": (("verify", "--storage", "absent"), FAILED, "there is no such folder"),
    "an object store without credentials": (("models", "--storage", "s3://bucket/x"), MISUSE, "AWS_ACCESS_KEY_ID"),
    "a model that is not there": (("predict", "absent", "--input", "rows.json"), FAILED, "absent"),
    "a model name that is a path": (("models", "../x"), MISUSE, "../x"),
    "a version that is not there": (("promote", "digits", "7"), FAILED, "digits"),
    "a version that is no number": (("promote", "digits", "one"), MISUSE, "invalid int value: 'one'"),
    "nothing to roll back to": (("rollback", "digits"), FAILED, "digits"),
    "a canary of a model that is not there": (("canary", "digits", "2"), FAILED, "digits"),
    "a canary of no version": (("canary", "digits", "--share", "5"), MISUSE, "millrace canary digits VERSION"),
    "a canary of every request": (("canary", "digits", "2", "--share", "100"), MISUSE, "found 100 %, wanted above 0 %"),
    "a share of nothing": (("shadow", "digits", "2", "--share", "0"), MISUSE, "--share 0: wanted above 0"),
    "a share that is no number": (("canary", "digits", "2", "--share", "nan"), MISUSE, "--share nan"),
    "a margin above everything": (
        ("canary", "digits", "2", "--error-margin", "200"),
        MISUSE,
        "error_margin: found 2.0",
    ),
    "a canary that is faster than the champion": (("canary", "digits", "2", "--slower", "1"), MISUSE, "above 1"),
    "an unknown use of feedback": (("canary", "digits", "2", "--feedback", "no"), MISUSE, "invalid choice: 'no'"),
    "a stop with a share": (("canary", "digits", "--stop", "--share", "5"), MISUSE, "--stop ends the canary"),
    "a canary promoted to": (("promote", "digits", "2", "--alias", "canary"), MISUSE, "millrace canary digits 2"),
    "nothing to promote": (("promote", "digits"), FAILED, "digits"),
    "a shadow rolled back": (("rollback", "digits", "--alias", "shadow"), MISUSE, "millrace shadow digits --stop"),
    "a release as canary": ((*DIGITS, "release.alias=canary"), MISUSE, "config release.alias: found 'canary'"),
    "the status of a model that is not there": (("status", "digits"), FAILED, "digits"),
    "the history of a model that is not there": (("history", "digits"), FAILED, "digits"),
    "a time that is none": (("history", "digits", "--at", "noon"), MISUSE, "2026-11-21T14:03"),
    "a time to come": (("history", "digits", "--at", "2999-01-01T00:00Z"), MISUSE, "lies in the future"),
    "a missing file of rows": (("predict", "digits", "--input", "absent.json"), MISUSE, "absent.json"),
    "an open service without keys": (("serve", "digits", "--no-auth", "--host", "0.0.0.0"), MISUSE, "127.0.0.1"),
    "a service with neither keys nor leave": (("serve", "digits"), MISUSE, "--no-auth"),
    "a missing key file": (("serve", "digits", "--keys", "absent.json"), MISUSE, "absent.json"),
    "a port that is none": (("serve", "digits", "--no-auth", "--port", "99999"), MISUSE, "99999"),
    "an unknown command": (("runn", "digits"), MISUSE, "runn"),
    "an unknown option": (("run", "digits", "--epochs", "3"), MISUSE, "--epochs"),
}
MAKES_A_STORE = {"a model that is not there", "a model name that is a path"} | {
    "a version that is not there",
    "nothing to roll back to",
    "a canary of a model that is not there",
    "a canary of no version",
    "a canary of every request",
    "a margin above everything",
    "a canary promoted to",
    "nothing to promote",
    "a shadow rolled back",
    "the status of a model that is not there",
    "the history of a model that is not there",
    "a missing file of rows",
    "a missing key file",
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that mistakes are made with, as the current one; nothing set in the environment."""
    for name, content in FILES.items():
        (tmp_path / name).write_text(content)
    (tmp_path / "noise.yaml").write_bytes(bytes(range(256)))
    (tmp_path / "rows.json").write_text("[]")
    monkeypatch.chdir(tmp_path)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_ENDPOINT_URL", "MILLRACE_ROOT", "PREFECT_API_URL"):
        monkeypatch.delenv(name, raising=False)
    # the command would set it for all tests that follow
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path.parent / "cache"))
    return tmp_path


@pytest.fixture
def told(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """`told("run", "digitz")`: the exit code and what stands on stderr."""

    def run(*arguments: str) -> tuple[int, str]:
        try:
            code = main(arguments)
        except SystemExit as end:  # argparse
            code = int(end.code or 0)
        return code, capfd.readouterr().err

    return run


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_message_of_at_most_five_lines(mistake: str, home: Path, told: Callable[..., tuple[int, str]]):
    arguments, wanted, said = MISTAKES[mistake]
    if mistake in MAKES_A_STORE:
        (home / ".millrace" / "store").mkdir(parents=True)
    before = contents(home)
    code, text = told(*arguments)
    assert said in text
    assert code == wanted
    assert len([line for line in text.splitlines() if not line.startswith(("usage:", " "))]) <= LONGEST
    assert "Traceback" not in text
    assert contents(home) == before


def test_a_root_that_cannot_be_made_is_named(
    home: Path, told: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("MILLRACE_ROOT", str(home / "a-file" / "root"))
    code, text = told("verify")
    assert (code, len(text.splitlines())) == (FAILED, 1)
    assert str(home / "a-file" / "root") in text


def test_a_port_that_is_taken_is_named(home: Path, told: Callable[..., tuple[int, str]]):
    (home / ".millrace" / "store").mkdir(parents=True)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        code, text = told("serve", "digits", "--no-auth", "--port", str(taken.getsockname()[1]))
    assert (code, len(text.splitlines())) == (MISUSE, 1)
    assert "Address already in use" in text


def test_debug_alone_shows_a_traceback(home: Path, told: Callable[..., tuple[int, str]]):
    assert "Traceback" not in told("run", "digitz")[1]
    assert "Traceback" in told("--debug", "run", "digitz")[1]
