"""Making a run again: what is refused, with a word on what is missing; and the fresh place, which holds the run's own source alone."""

import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from flows.cli import main
from flows.fresh import Fresh, install
from flows.presets import preset_config
from flows.reproducing import Compared, Reproduction, recorded
from storage.errors import NotFound, ProcessFailed
from storage.objects import ObjectStore, open_store
from storage.runs import put_run
from storage.snapshots import take_snapshot, unpack_snapshot

RUN = "20260131-235959-0a1b2c3d"
DIGEST = "0123456789abcdef" * 4
STEPS = [{"name": "train", "step": "train", "state": "computed", "key": DIGEST, "output": DIGEST}]


@pytest.fixture(autouse=True)
def own_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_ROOT", str(tmp_path / "root"))
    for name in ("TMPDIR", "XDG_CACHE_HOME"):  # which the command sets
        monkeypatch.setenv(name, str(tmp_path))


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return open_store(str(tmp_path / "store"))


def manifest(**more: Any) -> dict[str, Any]:
    config = preset_config("digits").model_dump(mode="json")
    known = {
        "flow": "pipeline",
        "pipeline": "digits",
        "status": "finished",
        "error": "",
        "config": config,
        "steps": STEPS,
    }
    return {**known, "source": None, "environment": {}, **more}


def refused(store: ObjectStore, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = main(["reproduce", RUN, "--storage", store.url])
    return code, capsys.readouterr().err


def test_an_unknown_run_is_named(store: ObjectStore, capsys: pytest.CaptureFixture[str]):
    code, said = refused(store, capsys)
    assert code == 1
    assert f"run '{RUN}': not in store {store.url}" in said


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        ({}, 1, "its source was not kept; reproduce a later run"),
        ({"flow": "train-model"}, 2, "found the flow 'train-model' alone, wanted a run of the whole chain"),
        ({"steps": [], "status": "failed", "source": {"digest": DIGEST, "size": 1, "suffix": ""}}, 1, "found no step with an output"),
        ({"source": {"digest": DIGEST, "size": 1, "suffix": ""}}, 1, "is not in store"),
        ({"config": {"data": {"source": 1}, "storage": {}}, "source": {"digest": DIGEST}}, 2, "does not know its configuration"),
    ],
)  # fmt: skip
def test_a_run_that_cannot_be_made_again_is_refused_with_the_reason(
    more: dict[str, Any], code: int, message: str, store: ObjectStore, capsys: pytest.CaptureFixture[str]
):
    put_run(store, RUN, manifest(**more))
    found, said = refused(store, capsys)
    assert (found, message in said, "Traceback" in said) == (code, True, False), said


def test_a_damaged_source_is_refused(store: ObjectStore, capsys: pytest.CaptureFixture[str]):
    blob = take_snapshot(store)
    store.put(blob.key, b"x" * blob.size)
    put_run(store, RUN, manifest(source=vars(blob)))
    code, said = refused(store, capsys)
    assert code == 1
    assert "is damaged" in said
    assert "reproduce another run" in said


def test_other_versions_stop_before_anything_runs_unless_they_are_allowed(
    store: ObjectStore, capsys: pytest.CaptureFixture[str]
):
    libraries = {"numpy": "0.1", "never-heard-of": "3"}
    put_run(
        store, RUN, manifest(source=vars(take_snapshot(store)), environment={"python": "3.8.1", "libraries": libraries})
    )
    code, said = refused(store, capsys)
    assert code == 2
    for part in ("Python 3.8.1 → 3.", "numpy 0.1 → ", "never-heard-of 3 → not installed", "--environment new"):
        assert part in said, said
    assert "✓" not in said


def test_only_what_depends_on_nothing_outside_is_compared(store: ObjectStore):
    names = ("prepare", "encode for champion", "score champion", "measure", "choose", "judge", "release", "train")
    steps = [{"name": name, "output": DIGEST if name != "train" else ""} for name in names]
    found = recorded(store, manifest(run_id=RUN, steps=steps, source={"digest": DIGEST}))
    assert found.compared == {"prepare": DIGEST}, "a step that failed has no output"


def test_the_first_step_with_another_output_is_the_one_that_diverged():
    steps = (Compared("a", "1", "1"), Compared("b", "2", "3"), Compared("c", "4", ""))
    again = Reproduction(RUN, steps, {}, ("code changed",), "")
    assert again.diverged == steps[1]
    told = again.to_json()
    assert (told["reproduced"], told["diverged"], told["why"]) == (False, "b", ["code changed"])
    assert [step["found"] for step in told["steps"]] == ["1", "3", None]
    assert Reproduction(RUN, steps[:1], {}, (), "").to_json()["reproduced"] is True


def fresh_place(store: ObjectStore, folder: Path, python: str = sys.executable) -> Fresh:
    fresh = Fresh(folder, python)
    unpack_snapshot(store, take_snapshot(store), fresh.source)
    return fresh


def test_a_python_that_would_run_another_millrace_is_refused(store: ObjectStore, tmp_path: Path):
    """Its own start puts a folder first, before whatever it is told."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    (tmp_path / "other" / "tasks").mkdir(parents=True)
    (tmp_path / "other" / "tasks" / "__init__.py").write_text("")
    (packages,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    (packages / "first.pth").write_text(f"import sys; sys.path.insert(0, {str(tmp_path / 'other')!r})\n")
    fresh = fresh_place(store, tmp_path / "fresh", str(tmp_path / "venv" / "bin" / "python"))
    with pytest.raises(
        ProcessFailed,
        match=r"package tasks: .* imports it from .*other/tasks/__init__\.py, wanted the run's own source",
    ):
        fresh.run({}, {})


def test_the_run_sees_neither_our_settings_nor_our_source(
    store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("MILLRACE_SIGNING_KEY", "secret")
    fresh = fresh_place(store, tmp_path / "fresh")
    (fresh.source / "flows" / "cli.py").write_text(
        "import json, os, sys, storage\n"
        "print(json.dumps([storage.__file__, os.environ['MILLRACE_ROOT'], os.environ['TOLD'], 'MILLRACE_SIGNING_KEY' in os.environ]))\n"
        "print(sys.argv[1:], file=sys.stderr)\n"
        "sys.exit(3)\n"
    )
    assert fresh.run({"name": "x"}, {"TOLD": "yes"}) == 3
    told = (fresh.folder / "summary.json").read_text()
    assert told == f'["{fresh.source}/storage/__init__.py", "{fresh.root}", "yes", false]\n'
    assert (fresh.folder / "config.yaml").read_text() == '{"name": "x"}'


def wheel(folder: Path) -> Path:
    """An installable library called tiny."""
    path = folder / "tiny-1.5-py3-none-any.whl"
    info = "tiny-1.5.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tiny.py", "")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.5\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", f"tiny.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return path


def test_a_new_environment_has_what_the_runs_lock_file_names(tmp_path: Path):
    fresh = Fresh(tmp_path)
    fresh.source.mkdir()
    with pytest.raises(NotFound, match=r"requirements\.lock: the run's stored source has none"):
        install(fresh, fresh.version)
    (fresh.source / "requirements.lock").write_text(f"tiny @ {wheel(tmp_path).as_uri()}\n")
    made = install(fresh, fresh.version)
    assert made.installed({"tiny": "1.5", "numpy": "2"}) == {"tiny": "1.5"}
    assert made.version == fresh.version


def test_what_pip_cannot_install_is_an_error_of_ours(tmp_path: Path):
    fresh = Fresh(tmp_path)
    fresh.source.mkdir()
    (fresh.source / "requirements.lock").write_text(f"tiny @ {(tmp_path / 'absent.whl').as_uri()}\n")
    with pytest.raises(ProcessFailed, match="pip: ended with code 1; what it says is above"):
        install(fresh, fresh.version)
