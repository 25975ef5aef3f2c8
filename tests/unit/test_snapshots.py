"""The source kept with a run: the same bytes from a checkout, a copy and a wheel; all of the code, and nothing but code."""

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import zstandard
from commands import ROOT

from storage.blobs import Blob, put_blob
from storage.errors import ConfigError, CorruptArtifact, NotFound
from storage.fingerprints import PACKAGES
from storage.objects import ObjectStore, open_store
from storage.snapshots import PROJECT_FILES, SUFFIX, take_snapshot, unpack_snapshot, users_files

TAKE = """
import dataclasses, json, sys
from storage.objects import open_store
from storage.snapshots import take_snapshot
print(json.dumps(dataclasses.asdict(take_snapshot(open_store(sys.argv[1])))))
"""
SECRET = "-----BEGIN PRIVATE KEY-----"


@pytest.fixture(autouse=True)
def own_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_ROOT", str(tmp_path / "root"))


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return open_store(str(tmp_path / "store"))


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The packages and project files in another folder, with other times and modes."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / "copy" / package, copy_function=shutil.copyfile)
    for name in PROJECT_FILES:
        shutil.copyfile(ROOT / name, tmp_path / "copy" / name)
    (tmp_path / "copy" / "flows" / "cli.py").chmod(0o700)
    return tmp_path / "copy"


def taken_in(folder: Path, store: ObjectStore, **more: str) -> Blob:
    """What a process takes that imports the packages from `folder`."""
    ended = subprocess.run(
        [sys.executable, "-P", "-c", TAKE, store.url],
        env={**os.environ, "PYTHONPATH": str(folder), **more},
        capture_output=True, text=True, check=False, cwd="/",
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return Blob(**json.loads(ended.stdout))


def unpacked(store: ObjectStore, blob: Blob, folder: Path) -> dict[str, bytes]:
    unpack_snapshot(store, blob, folder)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def archive_of(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return zstandard.compress(buffer.getvalue())


def test_a_checkout_a_copy_of_it_and_an_installed_wheel_give_the_same_bytes(
    store: ObjectStore, copy: Path, wheel: Path, installed: Path, tmp_path: Path
):
    here = take_snapshot(store)
    assert taken_in(copy, store) == taken_in(installed, store) == here
    names = {name for name in zipfile.ZipFile(wheel).namelist() if name.partition("/")[0] in PACKAGES}
    deployed = {name for name in names if name.startswith(("infra/containers/", "infra/kubernetes/", "infra/grafana/"))}
    assert {*names - deployed, *PROJECT_FILES} == set(unpacked(store, here, tmp_path / "out"))


def test_what_is_unpacked_is_what_was_taken(store: ObjectStore, tmp_path: Path):
    files = unpacked(store, take_snapshot(store), tmp_path / "out")
    assert {"flows/cli.py", "tasks/report/page.html.j2", "tasks/report/page.css", *PROJECT_FILES} <= set(files)
    for name, content in files.items():
        assert content == (ROOT / name).read_bytes(), name


def test_keys_settings_and_data_that_lie_in_the_packages_are_left_out(store: ObjectStore, copy: Path):
    before = taken_in(copy, store)
    planted = (
        "flows/.env", "flows/my.env", "storage/signing.pem", "storage/signing.key", "tasks/.hidden/token.py", "tasks/id_ed25519",
        "infra/credentials.json", "infra/secrets.yaml", ".env", "signing.key", "flows/root/store/blobs/data.py", "tasks/__pycache__/a.py",
    )  # fmt: skip
    for name in planted:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_text(SECRET)
    os.symlink(copy / ".env", copy / "flows" / "linked.py")
    assert taken_in(copy, store, MILLRACE_ROOT=str(copy / "flows" / "root")) == before


def test_a_changed_line_is_another_source(store: ObjectStore, copy: Path):
    before = taken_in(copy, store)
    with (copy / "tasks" / "jobs.py").open("a") as file:
        file.write("# one more line\n")
    assert taken_in(copy, store) != before


def test_a_source_that_was_taken_before_is_stored_again_where_it_is_gone(store: ObjectStore, tmp_path: Path):
    blob = take_snapshot(store)
    store.delete(blob.key)
    assert take_snapshot(store) == blob
    assert unpacked(store, blob, tmp_path / "out")
    other = open_store(str(tmp_path / "other"))
    assert take_snapshot(other) == blob
    assert other.size(blob.key) == blob.size


def test_a_broken_memo_costs_only_time(store: ObjectStore, tmp_path: Path):
    blob = take_snapshot(store)
    for content in ("", "[]", '{"a": 1}', '{"a": ["x", 1, ""]}'):
        (tmp_path / "root").mkdir(exist_ok=True)
        (tmp_path / "root" / "snapshots.json").write_text(content)
        assert take_snapshot(store) == blob


def test_users_files_come_with_the_run_that_reaches_them(store: ObjectStore, tmp_path: Path):
    (tmp_path / "rows.py").write_text("# rows\n")
    blob = take_snapshot(store, {"own/rows.py": tmp_path / "rows.py"})
    assert unpacked(store, blob, tmp_path / "out")["user/own/rows.py"] == b"# rows\n"
    assert blob != take_snapshot(store)
    with pytest.raises(NotFound, match=r"absent\.py, which this run reaches, is not there"):
        take_snapshot(store, {"absent.py": tmp_path / "absent.py"})


def test_the_files_of_users_modules_are_those_that_are_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    names = ("own/__init__.py", "own/deep/__init__.py", "own/deep/rows.py", "single.py")
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    modules = ("own", "own.deep", "own.deep.rows", "single", "flows.cli", "storage")
    assert users_files(modules) == {name: tmp_path / name for name in names}
    with pytest.raises(ConfigError, match=r"module 'own\.absent' has no source"):
        users_files(["own.absent"])


def test_a_source_that_is_gone_or_damaged_or_reaches_outside_is_refused_with_a_word(store: ObjectStore, tmp_path: Path):
    blob = put_blob(store, archive_of(a=b"1"), SUFFIX)
    assert unpacked(store, blob, tmp_path / "out") == {"a": b"1"}
    store.put(blob.key, b"x" * blob.size)
    with pytest.raises(CorruptArtifact, match=r"source .* is damaged .*reproduce another run"):
        unpack_snapshot(store, blob, tmp_path / "out")
    store.delete(blob.key)
    with pytest.raises(NotFound, match=r"source .* is not in store .*reproduce another run"):
        unpack_snapshot(store, blob, tmp_path / "out")
    for content in (b"no archive", zstandard.compress(b"no tar" * 1000)):
        with pytest.raises(CorruptArtifact, match="is damaged"):
            unpack_snapshot(store, put_blob(store, content, SUFFIX), tmp_path / "out")
    for name in ("../outside", "/outside", "a/../../outside"):
        with pytest.raises(CorruptArtifact, match="wanted names below its folder"):
            unpack_snapshot(store, put_blob(store, archive_of(**{name: b"1"}), SUFFIX), tmp_path / "out")
