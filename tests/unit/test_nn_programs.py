"""The training and compression programs, as processes: resumed after a kill, equal from two folders, exact when built again."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from commands import ROOT
from killed import POINTS
from sklearn.datasets import load_digits
from torch import from_numpy, no_grad

from tasks.nn.descriptions import load_model

META = {
    "task": "classification",
    "classes": [str(digit) for digit in range(10)],
    "input": {"shape": [1, 8, 8], "dtype": "float32"},
}
SECTION = {
    "family": "cnn",
    "cnn": {"channels": [8, 16], "hidden": 32},
    "epochs": 3,
    "batch_size": 16,
    "learning_rate": 3e-3,
    "device": "cpu",
    "checkpoint_every_steps": 3,
}
PASSES = [
    {"kind": "prune", "share": 0.5},
    {"kind": "distil", "epochs": 1},
    {"kind": "quantise", "calibration_rows": 64},
]


def start(program: str, job_file: Path, **more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", program, str(job_file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | more,
    )


def finish(program: str, job_file: Path, code: int = 0, **more: str) -> list[dict]:
    process = start(program, job_file, **more)
    out, err = process.communicate(timeout=120)
    assert process.returncode == code, err
    return [json.loads(line) for line in out.splitlines()]


def kill_at(job_file: Path, point: str, number: int) -> None:
    """Run the trainer up to the point where it kills itself."""
    points = job_file.parent / "points"
    points.mkdir()
    stop = {"name": f"{point} of tasks.nn.trainer", "number": number, "whom": "self"}
    (points / "stop.json").write_text(json.dumps(stop))
    finish(
        "tasks.nn.trainer",
        job_file,
        code=-signal.SIGKILL,
        PYTHONPATH=f"{POINTS}{os.pathsep}{ROOT}",
        SOAK_POINTS=str(points),
    )


def training_job(folder: Path, features: Path, **changes: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    job = {
        "section": SECTION | changes,
        "features": str(features),
        "meta": META,
        "output": str(folder / "output"),
        "checkpoints": str(folder / "checkpoints"),
    }
    (folder / "job.json").write_text(json.dumps(job))
    return folder / "job.json"


def compression_job(folder: Path, model: Path, features: Path, passes: list[dict]) -> Path:
    folder.mkdir(parents=True)
    job = {
        "recipe": {"name": "tried", "passes": passes},
        "model": str(model),
        "features": str(features),
        "meta": META,
        "train": SECTION,
        "output": str(folder / "output"),
    }
    (folder / "job.json").write_text(json.dumps(job))
    return folder / "job.json"


def digests_in(folder: Path) -> dict[str, str]:
    return {path.name: digest(path) for path in folder.iterdir()}


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, digits = tmp_path_factory.mktemp("features"), load_digits()
    x = (digits.images / 16).astype(np.float32)[:, None]
    for split, rows in {"train": slice(0, 320), "validation": slice(320, 450), "test": slice(450, 600)}.items():
        (folder / split).mkdir()
        np.save(folder / split / "x.npy", x[rows])
        np.save(folder / split / "y.npy", digits.target[rows].astype(np.int64))
    return folder


@pytest.fixture(scope="module")
def trained(features: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    events = finish("tasks.nn.trainer", training_job(folder, features))
    assert events[0]["event"] == "start"
    assert events[-2] == {"event": "done", "epochs": 3}
    assert events[-1]["usage"]["peak_memory_bytes"] > 100_000_000  # torch alone takes more
    return folder / "output"


@pytest.fixture(scope="module")
def compressed(features: Path, trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compressed") / "one"
    finish("tasks.nn.compressor", compression_job(folder, trained, features, PASSES))
    return folder / "output"


def test_a_trainer_killed_in_mid_epoch_resumes_to_the_same_weights(
    features: Path, trained: Path, tmp_path: Path
) -> None:
    job = training_job(tmp_path, features)
    process = start("tasks.nn.trainer", job)
    assert process.stdout is not None
    wanted = sorted((tmp_path / "checkpoints").glob("*"))
    while not any("00003" in path.name for path in wanted) and process.poll() is None:
        wanted = sorted((tmp_path / "checkpoints").glob("*"))  # the first checkpoint lies in mid-epoch: 3 of 20 steps
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / "output").exists()
    latest = max((tmp_path / "checkpoints").glob("step-*"))
    latest.with_name("step-999999999999.safetensors").write_bytes(latest.read_bytes()[:1000])  # half-written
    events = finish("tasks.nn.trainer", job)
    resumed = next(event for event in events if event.get("event") == "resumed")
    assert resumed["step"] % 3 == 0
    for name in ("weights.safetensors", "history.json", "model.json"):
        assert digest(tmp_path / "output" / name) == digest(trained / name)


MOMENTS = [
    ("step after", 1, None),  # before the first checkpoint
    ("step after", 31, (2, 9)),  # in mid-epoch: 20 steps each
    ("checkpoint within", 8, (2, 0)),  # the 8th checkpoint is half written
    ("checkpoint before its name", 8, (2, 0)),
    ("epoch after", 1, (2, 0)),
    ("output before", 1, (4, 0)),
]


@pytest.mark.parametrize(("point", "number", "resumed"), MOMENTS)
def test_a_trainer_killed_at_any_moment_ends_with_the_same_bytes(
    features: Path, trained: Path, tmp_path: Path, point: str, number: int, resumed: tuple[int, int] | None
) -> None:
    job = training_job(tmp_path, features)
    kill_at(job, point, number)
    events = finish("tasks.nn.trainer", job)
    assert [(e["epoch"], e["step"]) for e in events if e.get("event") == "resumed"] == ([resumed] if resumed else [])
    assert digests_in(tmp_path / "output") == digests_in(trained)


def test_a_trainer_that_is_killed_again_and_again_ends_with_the_same_bytes(
    features: Path, trained: Path, tmp_path: Path
) -> None:
    job = training_job(tmp_path, features)
    for number in (8, 19, 30):  # each of the three begins to count anew
        kill_at(job, "step after", number)
        (tmp_path / "points").rename(tmp_path / f"points-{number}")
    finish("tasks.nn.trainer", job)
    assert digest(tmp_path / "output" / "weights.safetensors") == digest(trained / "weights.safetensors")


def test_a_checkpoint_of_another_training_is_not_continued(features: Path, tmp_path: Path) -> None:
    finish("tasks.nn.trainer", training_job(tmp_path, features, epochs=1))
    events = finish("tasks.nn.trainer", training_job(tmp_path, features, epochs=1, seed=7))
    restarted = next(event for event in events if event.get("event") == "restarted")
    assert "another training" in restarted["reason"]


OTHER = {"ATEN_CPU_CAPABILITY": "default"}  # torch without this processor's vector instructions: sums in another order


def test_other_conditions_are_refused_with_what_was_and_is_and_what_to_do(features: Path, tmp_path: Path) -> None:
    job = training_job(tmp_path, features)
    kill_at(job, "step after", 31)
    kept = digests_in(tmp_path / "checkpoints")
    [error] = [event["error"] for event in finish("tasks.nn.trainer", job, code=2, **OTHER) if "error" in event]
    for said in ("epoch 2, step 9", "device was", "is DEFAULT", "train.on_other_conditions=restart", "=continue"):
        assert said in error
    assert digests_in(tmp_path / "checkpoints") == kept
    threads = training_job(tmp_path, features, threads=2)
    [error] = [event["error"] for event in finish("tasks.nn.trainer", threads, code=2) if "error" in event]
    assert "threads was 1, is 2" in error
    events = finish("tasks.nn.trainer", training_job(tmp_path, features))  # the old conditions are welcome
    assert [event["step"] for event in events if event.get("event") == "resumed"] == [9]


def test_going_on_under_other_conditions_marks_the_model_for_good(features: Path, tmp_path: Path) -> None:
    kill_at(training_job(tmp_path, features, on_other_conditions="continue"), "step after", 31)
    job = training_job(tmp_path, features, on_other_conditions="continue", threads=2)
    (tmp_path / "points").rename(tmp_path / "points-before")
    kill_at(job, "step after", 6)
    finish("tasks.nn.trainer", job)  # the mark outlives another kill
    [mark] = json.loads((tmp_path / "output" / "continued.json").read_bytes())
    assert mark == {"epoch": 2, "step": 9, "changed": {"threads": [1, 2]}}


def test_restarting_under_other_conditions_gives_what_these_conditions_give(features: Path, tmp_path: Path) -> None:
    kill_at(training_job(tmp_path / "killed", features), "step after", 31)
    events = finish(
        "tasks.nn.trainer", training_job(tmp_path / "killed", features, on_other_conditions="restart"), **OTHER
    )
    assert "device was" in next(event["reason"] for event in events if event.get("event") == "restarted")
    finish("tasks.nn.trainer", training_job(tmp_path / "undisturbed", features), **OTHER)
    assert digests_in(tmp_path / "killed" / "output") == digests_in(tmp_path / "undisturbed" / "output")


def test_a_loss_that_is_no_number_says_what_to_lower(features: Path, tmp_path: Path) -> None:
    job = training_job(tmp_path, features, learning_rate=10, optimizer="sgd", momentum=0.99, warmup_share=0, l2=1.0)
    [error] = [event["error"] for event in finish("tasks.nn.trainer", job, code=2) if "error" in event]
    assert "lower train.learning_rate (now 10)" in error


def test_two_folders_give_identical_bytes(features: Path, trained: Path, compressed: Path, tmp_path: Path) -> None:
    finish("tasks.nn.compressor", compression_job(tmp_path / "two", trained, features, PASSES))
    for path in compressed.iterdir():
        assert digest(path) == digest(tmp_path / "two" / "output" / path.name), path.name


def test_a_pruned_model_is_built_again_from_its_description(compressed: Path) -> None:
    description = json.loads((compressed / "model.json").read_bytes())
    assert description["options"]["channels"] == [4, 8]
    assert description["options"]["hidden"] == 16
    load_model(description, (compressed / "weights.safetensors").read_bytes())


def test_the_quantised_graph_agrees_with_its_canonical_weights(compressed: Path, features: Path) -> None:
    model = load_model(
        json.loads((compressed / "model.json").read_bytes()), (compressed / "weights.safetensors").read_bytes()
    )
    x = np.load(features / "test" / "x.npy")
    with no_grad():
        expected = model.eval()(from_numpy(x)).numpy()
    found = onnxruntime.InferenceSession(compressed / "model.onnx").run(None, {"x": x})[0]
    assert (found.argmax(1) == expected.argmax(1)).mean() > 0.97


def test_the_graph_holds_no_path_and_counts_its_work(compressed: Path) -> None:
    content = (compressed / "model.onnx").read_bytes()
    for trace in (b".py", b"site-packages", b"torch", b"pkg."):
        assert trace not in content
    assert onnx.load_from_string(content).producer_name == ""
    facts = json.loads((compressed / "facts.json").read_bytes())
    # 8×8 pixels × 4 channels × 9 + 4×4 pixels × 8 channels × 4 × 9 + 8·2·2 × 16 + 16 × 10
    assert facts == {"operations": 2304 + 4608 + 512 + 160, "output": "logits", "parameters": 1046}
