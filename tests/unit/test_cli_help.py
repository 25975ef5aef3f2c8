"""The command's cheap answers: help, presets, misuse. Nothing heavy is loaded for them, and nothing is left behind."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from commands import COMMAND, Ended, environment

from flows.cli import MISUSE
from flows.presets import PRESETS, preset_config
from flows.settings import resolve

HEAVY = ("torch", "prefect", "dask", "distributed", "pandas", "numpy", "sklearn", "onnxruntime", "pyarrow")
LISTS_MODULES = """
import json, sys
from flows.cli import main
try:
    code = main(json.loads(sys.argv[1]))
except SystemExit as end:
    code = end.code
sys.stderr.write("\\nMODULES " + json.dumps(sorted(sys.modules)))
sys.exit(code)
"""


def ended(argv: list[str], folder: Path) -> Ended:
    done = subprocess.run(
        argv, cwd=folder, env=environment(folder / ".millrace"), capture_output=True, text=True, timeout=60, check=False
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def millrace_here(folder: Path, *arguments: str) -> Ended:
    return ended([*COMMAND, *arguments], folder)


def with_modules(folder: Path, *arguments: str) -> tuple[Ended, set[str]]:
    """How the command ended, and which of the heavy libraries it loaded."""
    done = ended([sys.executable, "-c", LISTS_MODULES, json.dumps(arguments)], folder)
    modules = json.loads(done.err.rpartition("MODULES ")[2])
    assert "flows.cli" in modules
    return done, set(HEAVY) & set(modules)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        *((command, "--help") for command in ("run", "serve", "predict", "models", "verify", "keys", "audit")),
    ],
)
def test_help_loads_nothing_heavy(arguments: tuple[str, ...], tmp_path: Path):
    done, heavy = with_modules(tmp_path, *arguments)
    assert (done.code, heavy) == (0, set())
    assert done.out.startswith("usage: millrace")


@pytest.mark.parametrize(
    "arguments", [("presets",), ("presets", "--show", "digits"), ("run", "digits", "--set", "x=1")]
)
def test_presets_and_mistakes_load_nothing_heavy(arguments: tuple[str, ...], tmp_path: Path):
    done, heavy = with_modules(tmp_path, *arguments)
    assert heavy == set()
    assert done.code == (MISUSE if "--set" in arguments else 0)


def test_help_names_every_command_and_every_option_of_run(tmp_path: Path):
    whole = millrace_here(tmp_path, "--help").out
    for command in ("run", "presets", "models", "promote", "rollback", "predict", "serve", "verify", "keys", "audit"):
        assert f"\n    {command} " in whole
    run = millrace_here(tmp_path, "run", "--help").out
    for option in (
        "PRESET|FILE",
        "--target COLUMN",
        "--text COLUMN",
        "--name NAME",
        "--config FILE",
        "--set KEY=VALUE",
        "--storage URL",
        "--cluster WHERE",
        "--json",
    ):
        assert option in run


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "COMMAND"),
        (("rnu",), "invalid choice: 'rnu'"),
        (("run", "digits", "--epochs", "3"), "--epochs"),
        (("run", "digits", "extra"), "extra"),
        (("run",), "millrace presets"),
        (("run", "digitz"), "did you mean 'digits'?"),
        (("run", "digits", "--set", "train.epochs"), "wanted section.field=value"),
        (("run", "digits", "--config", "absent.yaml"), "absent.yaml"),
        (("presets", "--show", "brest_cancer"), "did you mean 'breast_cancer'?"),
        (("promote", "digits", "one"), "invalid int value: 'one'"),
        (("predict", "digits"), "--input"),
        (("serve", "digits"), "--no-auth"),
        (("serve", "digits", "--no-auth", "--host", "0.0.0.0"), "wanted 127.0.0.1"),
    ],
)
def test_misuse_ends_with_code_2_and_says_what_is_wrong(arguments: tuple[str, ...], said: str, tmp_path: Path):
    done = millrace_here(tmp_path, *arguments)
    assert (done.code, done.out) == (MISUSE, "")
    assert said in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_shown_is_the_preset_as_yaml(name: str, tmp_path: Path):
    shown = millrace_here(tmp_path, "presets", "--show", name)
    assert shown.code == 0
    config = yaml.safe_load(shown.out)
    assert config == preset_config(name).model_dump(mode="json")
    assert resolve(config=config) == preset_config(name)


def test_presets_are_listed_with_a_sentence_each(tmp_path: Path):
    lines = millrace_here(tmp_path, "presets").out.splitlines()
    assert [line.split()[0] for line in lines] == list(PRESETS)
    assert all(len(line.split()) > 4 for line in lines)


def test_help_presets_and_misuse_leave_nothing_behind(tmp_path: Path):
    for arguments in (("--help",), ("presets",), ("presets", "--show", "digits"), ("run", "digitz")):
        millrace_here(tmp_path, *arguments)
    assert list(tmp_path.iterdir()) == []
