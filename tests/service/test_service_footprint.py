"""What serves needs neither training libraries nor much else; the smoke test runs the real server."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest
from commands import wait_for
from handmade import golden_of, iris_files, iris_store, write_files

from storage.errors import CorruptArtifact, ProcessFailed, ProcessLost
from tasks.inference.predictor import Predictor
from tasks.service.smoke import smoke_test

ABSENT = [
    "torch",
    "pandas",
    "prefect",
    "dask",
    "distributed",
    "scipy",
    "sklearn",
    "onnx",
    "fastapi",
    "matplotlib",
    "PIL",
    "pyarrow",
]
SCRIPT = """
import json, sys
from pathlib import Path
import tasks.service.__main__, tasks.service.server, tasks.service.smoke, tasks.service.keys
import tasks.service.supervisor, tasks.service.worker
from tasks.inference.predictor import Predictor
folder = Path(sys.argv[1])
predictor = Predictor.load({str(p.relative_to(folder)): p for p in folder.rglob("*") if p.is_file()})
predictor.predict(predictor.parse([[1, 2, 3, 4]]))
sys.stdout.write(json.dumps([name for name in json.loads(sys.argv[2]) if name in sys.modules]))
"""


def test_the_service_loads_no_training_library(tmp_path: Path) -> None:
    write_files(iris_files(), tmp_path)
    command = [sys.executable, "-c", SCRIPT, str(tmp_path), json.dumps(ABSENT)]
    assert json.loads(subprocess.run(command, capture_output=True, check=True).stdout) == []


def test_the_smoke_test_passes_a_release_that_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_ROOT", str(tmp_path / "root"))
    store, _ = iris_store(tmp_path, versions=2)
    golden = golden_of(Predictor.load(write_files(iris_files(10.0), tmp_path / "made")))
    smoke_test(store.url, "iris", 2, golden, 1e-4)


def test_the_smoke_test_names_a_wrong_prediction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_ROOT", str(tmp_path / "root"))
    store, _ = iris_store(tmp_path)
    golden = golden_of(Predictor.load(write_files(iris_files(), tmp_path / "made")))
    golden["predictions"][2] = "virginica"
    with pytest.raises(CorruptArtifact, match="golden item 2: found the prediction 'setosa', wanted 'virginica'"):
        smoke_test(store.url, "iris", 1, golden, 1e-4)


def test_a_server_that_is_killed_while_it_is_tried_is_worth_another_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MILLRACE_ROOT", str(tmp_path / "root"))
    store, _ = iris_store(tmp_path)
    golden = golden_of(Predictor.load(write_files(iris_files(), tmp_path / "made")))

    def kill() -> None:
        wait_for(servers, "the server")[0].kill()

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(ProcessLost, match="the server was killed by SIGKILL"):
        smoke_test(store.url, "iris", 1, golden, 1e-4)
    killer.join()


def servers() -> list[psutil.Process]:
    """The servers that this process started."""
    return [child for child in psutil.Process().children() if "tasks.service" in child.cmdline()]


def test_the_smoke_test_says_why_a_server_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_ROOT", str(tmp_path / "root"))
    store, _ = iris_store(tmp_path)
    with pytest.raises(ProcessFailed, match="found versions \\[1\\], wanted 7"):
        smoke_test(store.url, "iris", 7, {"items": [], "predictions": [], "outputs": []}, 1e-4)
