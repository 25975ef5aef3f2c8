"""Whole arrays are remembered for the code that puts them together, and for no other."""

import io
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tasks
from storage.manifests import put_files
from storage.objects import ObjectStore, open_store
from tasks.arrays import fetch_arrays

FETCH = """
import sys
from storage.objects import open_store
from tasks.arrays import fetch_arrays
print(fetch_arrays(open_store(sys.argv[1]), sys.argv[2])["train/x.npy"])
"""


def features(store: ObjectStore) -> str:
    """Features of one shard: a row of each split."""
    files = {}
    for array in "xy":
        np.save(content := io.BytesIO(), np.arange(3.0))
        files[f"{array}/00000.npy"] = content.getvalue()
    return put_files(store, "features", files, {"task": "regression", "shards": [[1, 1, 1]]})


def test_arrays_that_other_code_put_together_are_put_together_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MILLRACE_ROOT", str(tmp_path / "root"))
    store = open_store(str(tmp_path / "store"))
    digest = features(store)
    before = fetch_arrays(store, digest)["train/x.npy"]
    other = tmp_path / "other"
    ours = Path(tasks.__path__[0]).parent
    for package in ("tasks", "storage"):
        shutil.copytree(ours / package, other / package, ignore=shutil.ignore_patterns("__pycache__"))
    code = (other / "tasks" / "arrays.py").read_text()
    assert "] = rows\n" in code
    (other / "tasks" / "arrays.py").write_text(code.replace("] = rows\n", "] = rows + 1\n"))
    command = [sys.executable, "-c", FETCH, store.url, digest]
    told = subprocess.run(
        command,
        cwd=other,
        env={"PYTHONPATH": str(other), "MILLRACE_ROOT": str(tmp_path / "root")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert np.load(told.stdout.strip())[0] == np.load(before)[0] + 1
    assert fetch_arrays(store, digest)["train/x.npy"] == before
