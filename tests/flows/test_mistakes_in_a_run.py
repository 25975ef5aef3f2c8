"""Mistakes that only the run itself can find: one message of at most five lines, the right exit code, nothing lost.

All runs are in one process, as `millrace run` starts it, and share a Dask cluster of threads: the mistakes are what is slow to make otherwise.
"""

import gzip
import json
import struct
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import environment

FAILED, MISUSE = 1, 2
LONGEST = 5
DRIVER = """
import contextlib, io, json, os, sys
from distributed import Client
from flows.by_hand import main
from flows.settings import resolve

orders = json.load(sys.stdin)
with Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=None) as client:
    for order in orders:
        overrides = {"cluster.address": client.scheduler.address, **order["overrides"]}
        told = io.StringIO()
        with contextlib.redirect_stderr(told):
            config = resolve(order["preset"], order["config"], overrides).model_dump(mode="json")
            code = main({"config": config, "json": True, "debug": False, "force": False})
        print("ENDED " + json.dumps({"code": code, "told": told.getvalue()}), flush=True)
"""
CONFIG = {
    "name": "mistakes",
    "data": {"kind": "table", "format": "csv", "target": "y", "sources": [{"url": "good.csv"}]},
    "train": {"family": "sklearn"},
}
Mistake = tuple[dict[str, Any], int, str]


def source(url: str, **more: Any) -> dict[str, Any]:
    return {"data.sources": [{"url": url, **more}]}


MISTAKES: dict[str, Mistake] = {
    "a missing file": (source("absent.csv"), FAILED, "no file matches 'absent.csv'"),
    "a glob that matches nothing": (source("*.tsv"), FAILED, "no file matches '*.tsv'"),
    "an empty file": (source("empty.csv"), FAILED, "empty.csv"),
    "a header without rows": (source("header.csv"), FAILED, "found no rows"),
    "a file that is no text": (source("noise.csv"), FAILED, "noise.csv"),
    "a file that is no Parquet": (
        {**source("noise.csv"), "data.format": "parquet"},
        FAILED,
        "no readable Parquet file",
    ),
    "a cut gzip file": (source("cut.csv.gz"), FAILED, "cut.csv.gz: cannot be unpacked"),
    "an archive without such a member": (source("rows.tar", members="*.tsv"), FAILED, "no member matches '*.tsv'"),
    "a file named twice": (
        {"data.sources": [{"url": "good.csv"}, {"url": "good.csv"}]},
        MISUSE,
        "matched by more than one source",
    ),
    "a format that the name does not tell": ({**source("good.dat"), "data.format": "auto"}, MISUSE, "set data.format"),
    "an unknown protocol": (source("gopher://host/rows.csv"), MISUSE, "gopher"),
    "a wrong target": ({"data.target": "why"}, FAILED, "no column 'why' in the data; found a, y; did you mean 'y'?"),
    "a wrong feature": ({"data.features": ["b"]}, FAILED, "data.features: no column 'b'"),
    "the target among the features": ({"data.features": ["a", "y"]}, FAILED, "'y' is the target"),
    "a declared column that is not there": (
        {"data.columns": [{"name": "c", "type": "text"}]},
        FAILED,
        "data.columns: no column 'c'",
    ),
    "one class only": (source("one.csv"), FAILED, "only the class ['1']"),
    "words where numbers are predicted": (
        {**source("words.csv"), "data.task": "regression", "evaluate.metric": "rmse"},
        FAILED,
        "60 of 60 rows are refused",
    ),
    "too many rows out of range": (
        {"data.columns": [{"name": "a", "type": "number", "maximum": 10}]},
        FAILED,
        "50 of 60 rows are refused",
    ),
    "no rows left for the test": (source("good.csv", split="train") | {"data.test_share": 0.0}, FAILED, "no rows for"),
    "an IDX file without its labels": (
        {**source("t-images-idx3-ubyte"), "data.format": "idx", "data.kind": "image", "train.family": "mlp"},
        FAILED,
        "its labels file t-labels-idx1-ubyte is not beside it",
    ),
    "an unknown data set of scikit-learn": (
        {**source("digitz"), "data.format": "sklearn"},
        FAILED,
        "did you mean 'digits'?",
    ),
    "a scheduler that is not there": ({"cluster.address": "tcp://127.0.0.1:1"}, MISUSE, "no Dask scheduler answers"),
    "an address that is none": ({"cluster.address": "nowhere"}, MISUSE, "cluster.address: found 'nowhere'"),
    "a GPU cluster without its package": ({"cluster.address": "cuda"}, MISUSE, "millrace[gpu]"),
    "Kubernetes without its package": ({"cluster.address": "kubernetes"}, MISUSE, "millrace[kubernetes]"),
    "a full disk": ({"storage.url": "full"}, MISUSE, "No space left on device"),
    "early stopping without validation rows": (
        {"data.validation_share": 0.0, "train.family": "mlp", "train.early_stopping_epochs": 2},
        FAILED,
        "validation",
    ),
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("mistakes")
    rows = "".join(f"{number},{number % 2}\n" for number in range(1, 61))
    files = {"good": rows, "header": "", "one": rows.replace(",0\n", ",1\n"), "words": rows.replace(",", ",w")}
    for name, body in files.items():
        (folder / f"{name}.csv").write_text("a,y\n" + body)
    (folder / "good.dat").write_text("a,y\n" + rows)
    (folder / "empty.csv").touch()
    (folder / "noise.csv").write_bytes(bytes(range(256)) * 8)
    (folder / "t-images-idx3-ubyte").write_bytes(struct.pack(">4i4x", 2051, 1, 2, 2))
    (folder / "cut.csv.gz").write_bytes(gzip.compress(("a,y\n" + rows).encode())[:60])
    with tarfile.open(folder / "rows.tar", "w") as archive:
        archive.add(folder / "good.csv", "good.csv")
    (folder / "full").mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", folder / "full"], check=False)
    yield folder
    if mounted.returncode == 0:
        subprocess.run(["umount", folder / "full"], check=True)


@pytest.fixture(scope="module")
def ended(prefect_api: str, home: Path) -> dict[str, dict[str, Any]]:
    """How each run ended: `code`, and what it `told` on stderr."""
    orders = [{"preset": None, "config": CONFIG, "overrides": overrides} for overrides, _, _ in MISTAKES.values()]
    done = subprocess.run(
        [sys.executable, "-c", DRIVER],
        input=json.dumps(orders),
        cwd=home,
        env=environment(home / ".millrace", PREFECT_API_URL=prefect_api),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = [line.removeprefix("ENDED ") for line in done.stdout.splitlines() if line.startswith("ENDED ")]
    return dict(zip(MISTAKES, map(json.loads, lines), strict=True))


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_message_of_at_most_five_lines(mistake: str, ended: dict[str, dict[str, Any]], home: Path):
    if mistake == "a full disk" and not (home / "full").is_mount():
        pytest.skip("a small file system cannot be mounted here")
    _, code, said = MISTAKES[mistake]
    told = ended[mistake]["told"]
    message = told[told.index("millrace: ") :].splitlines()
    assert said in message[0], told
    assert ended[mistake]["code"] == code
    assert len(message) <= LONGEST
    assert "Traceback" not in told


def test_no_mistake_touches_the_data_or_leaves_a_model(ended: dict[str, dict[str, Any]], home: Path):
    assert (home / "good.csv").read_text().count("\n") == 61
    assert not (home / ".millrace" / "store" / "models").exists()
