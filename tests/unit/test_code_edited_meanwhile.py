"""Code that is edited while a step runs: the programs that the step starts read it anew, this process does not."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from commands import ROOT

SCRIPT = """
import sys
from pathlib import Path
import tasks.frames.splitting as edited
from storage.fingerprints import PACKAGES, reach, still_reached
entry = "tasks.frames.splitting:assign_splits"
before = reach(entry)
assert still_reached(before, entry)
file = Path(edited.__file__)
assert file.is_relative_to(Path.cwd())
text = file.read_text()
assert sys.argv[1] in text
file.write_text(text.replace(sys.argv[1], sys.argv[2]))
assert reach(entry) == before, "what is loaded is what runs here"
print(still_reached(before, entry))
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkout")
    for package in ("flows", "tasks", "storage", "infra"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("A number in [0, 1) for each hash", "A draw for each hash", "True"),
        ("key) >> np.uint64(11)", "key) >> np.uint64(12)", "False"),
    ],
    ids=["a docstring", "a draw"],
)
def test_what_a_new_process_would_run_is_found_out(checkout: Path, old: str, new: str, same: str):
    variables = {**os.environ, "PYTHONPATH": str(checkout), "MILLRACE_ROOT": str(checkout / "root")}
    told = subprocess.run(
        [sys.executable, "-c", SCRIPT, old, new],
        cwd=checkout,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.stdout.strip() == same, told.stderr
