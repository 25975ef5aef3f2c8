"""Stage prepare on a real Dask cluster: the same data set comes out, whatever happens to its workers."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from distributed import Client
from features import encoded
from tables import csv_section, section, write_csv

from infra.clusters import open_cluster
from storage.errors import SchemaError, WorkerLost
from storage.manifests import read_manifest
from storage.objects import ObjectStore, open_store
from tasks.frames.fitting import fit_transforms
from tasks.frames.identity import identified
from tasks.frames.prepare import prepare_dataset
from tasks.frames.quarantine import read_quarantine
from tasks.frames.sampling import read_rows, rows_as_items
from tasks.sections import ClusterSection, DataSection, TransformsSection
from tasks.transforms import Transforms

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"
ADULT = [
    "age",
    "workclass",
    "fnlwgt",
    "education",
    "education_num",
    "marital_status",
    "occupation",
    "relationship",
    "race",
    "sex",
    "capital_gain",
    "capital_loss",
    "hours_per_week",
    "native_country",
    "income",
]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    os.environ["MILLRACE_ROOT"] = str(tmp_path_factory.mktemp("root"))
    with open_cluster(ClusterSection(workers=2, memory_gib=2.0)) as client:
        yield client
    del os.environ["MILLRACE_ROOT"]


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return open_store(str(tmp_path / "store"))


def prepare(
    data: DataSection, store: ObjectStore, client: Client, report: Callable[[dict[str, Any]], None] = lambda _: None
) -> str:
    return prepare_dataset(data, identified(data), store, lambda: nullcontext(client), report)


def need(name: str) -> str:
    if not (SHARED / name).exists():
        pytest.skip(f"no {name} in the folder shared/data beside the checkout")
    return str(SHARED)


def test_counts_reconcile_and_pandas_opens_the_shards(client: Client, store: ObjectStore, tmp_path: Path):
    write_csv(tmp_path / "rows.csv")
    events: list[dict[str, Any]] = []
    meta = read_manifest(store, prepare(csv_section(tmp_path), store, client, events.append)).meta
    assert (meta["rows_in"], meta["rows_out"], meta["rows_quarantined"]) == (600, 598, 2)
    assert sum(meta["splits"].values()) == 598
    assert [(q["rule"], q["count"]) for q in meta["quarantine"]] == [("ragged", 1), ("type", 1)]
    assert all(shard["rows_in"] == shard["rows_out"] + shard["rows_quarantined"] for shard in meta["shards"])
    assert events[-1] == {"stage": "prepare", "done": 24, "total": 24, "rows": 600}


def test_a_shard_is_a_parquet_file_that_pandas_opens_by_its_path(client: Client, store: ObjectStore, tmp_path: Path):
    write_csv(tmp_path / "rows.csv")
    manifest = read_manifest(store, prepare(csv_section(tmp_path), store, client))
    rows = pd.read_parquet(store.local_path(manifest.files["rows/part-00000.parquet"].key))
    overlay = pd.read_parquet(store.local_path(manifest.files["overlay/part-00000.parquet"].key))
    assert list(rows.columns) == ["x", "n", "colour", "label", "_file", "_row"]
    assert len(rows) == len(overlay) == 23
    assert set(overlay["split"]) <= {"train", "validation", "test"}


def test_refused_rows_can_be_read_with_reason_and_origin(client: Client, store: ObjectStore, tmp_path: Path):
    write_csv(tmp_path / "rows.csv")
    refused = read_quarantine(store, prepare(csv_section(tmp_path), store, client), 10)
    assert [(r["_file"], r["_row"], r["rule"]) for r in refused] == [
        ("rows.csv", 10, "ragged"),
        ("rows.csv", 20, "type"),
    ]
    assert refused[0]["raw"] == "1,2"
    assert "found 'word', wanted a number" in refused[1]["reason"]


def test_a_worker_killed_while_preparing_changes_nothing(client: Client, tmp_path: Path):
    write_csv(tmp_path / "rows.csv", rows=3000)
    data, killed = csv_section(tmp_path), []

    def kill_one(event: dict[str, Any]) -> None:
        if event["done"] >= 3 and not killed:
            killed.append(next(iter(client.run(os.getpid).values())))
            os.kill(killed[0], signal.SIGKILL)

    disturbed = prepare(data, open_store(str(tmp_path / "one")), client, kill_one)
    assert killed
    client.wait_for_workers(2, timeout=60)
    assert disturbed == prepare(data, open_store(str(tmp_path / "two")), client)


def test_the_same_rows_elsewhere_give_the_same_digest(client: Client, tmp_path: Path):
    digests = []
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        write_csv(tmp_path / name / "rows.csv")
        digests.append(prepare(csv_section(tmp_path / name), open_store(str(tmp_path / name / "store")), client))
    assert digests[0] == digests[1]


def test_too_many_refused_rows_stop_the_step_with_reasons(client: Client, store: ObjectStore, tmp_path: Path):
    write_csv(tmp_path / "rows.csv")
    with pytest.raises(SchemaError, match=r"2 of 600 rows are refused.*ragged: 1 rows, e\.g\. rows\.csv row 10"):
        prepare(csv_section(tmp_path, max_quarantined_share=0.001), store, client)


def test_an_empty_split_is_refused(client: Client, store: ObjectStore, tmp_path: Path):
    write_csv(tmp_path / "rows.csv")
    with pytest.raises(SchemaError, match="no rows for test"):
        prepare(csv_section(tmp_path, test_share=0.0), store, client)


def test_features_are_what_a_service_would_make_of_the_same_items(client: Client, store: ObjectStore, tmp_path: Path):
    write_csv(tmp_path / "rows.csv")
    digest = prepare(csv_section(tmp_path), store, client)
    files = fit_transforms(TransformsSection(), store, digest)
    paths, meta = encoded(store, digest, files)
    transforms, rows = Transforms.load(files), read_rows(store, digest, "test", 5)
    items = json.loads(json.dumps(rows_as_items(transforms, rows)))
    x, y = np.load(paths["test/x.npy"]), np.load(paths["test/y.npy"])
    assert meta["classes"] == ["no", "yes"]
    assert len(x) == len(y) == meta["rows"]["test"]
    assert transforms.features(transforms.parse(items)).tobytes() == x[:5].tobytes()
    assert transforms.targets(rows["label"]).tolist() == y[:5].tolist()
    assert transforms.parse([transforms.describe()["example"]])


def test_transforms_are_fitted_on_training_rows_alone(client: Client, store: ObjectStore, tmp_path: Path):
    (tmp_path / "train.csv").write_text("x,c,label\n" + "\n".join(f"{i % 3},a,{'yn'[i % 2]}" for i in range(300)))
    (tmp_path / "test.csv").write_text("x,c,label\n" + "\n".join(f"{i * 1000},only_test,y" for i in range(30)))
    sources = [{"url": "train.csv", "split": "train"}, {"url": "test.csv", "split": "test"}]
    digest = prepare(section(sources=sources, root=str(tmp_path)), store, client)
    fitted = json.loads(fit_transforms(TransformsSection(), store, digest)["transforms.json"])
    number, category = fitted["input"]["columns"]
    assert number["mean"] < 2
    assert category["values"] == ["a"]


@pytest.mark.parametrize("name", ["digits", "breast_cancer", "iris", "wine", "diabetes"])
def test_the_sets_of_scikit_learn_go_all_the_way(client: Client, store: ObjectStore, tmp_path: Path, name: str):
    kind = "image" if name == "digits" else "table"
    task = "regression" if name == "diabetes" else "classification"
    digest = prepare(section(sources=[{"url": name}], format="sklearn", kind=kind, task=task), store, client)
    paths, meta = encoded(store, digest, fit_transforms(TransformsSection(), store, digest))
    x = np.load(paths["train/x.npy"])
    assert x.shape == (meta["rows"]["train"], *meta["input"]["shape"])
    assert np.isfinite(x).all()
    assert abs(x.mean()) < 0.1


def test_a_text_cannot_spell_the_special_tokens(client: Client, store: ObjectStore, tmp_path: Path):
    for i in range(120):
        path = tmp_path / "texts" / ("pos" if i % 2 else "neg") / f"{i}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"[PAD] [UNK] Naïve {i} 很好 words, words")
    data = section(sources=[{"url": "texts/*/*.txt"}], root=str(tmp_path), kind="text")
    digest = prepare(data, store, client)
    files = fit_transforms(TransformsSection(max_tokens=16), store, digest)
    transforms = Transforms.load(files)
    ids = transforms.features(transforms.parse(["[PAD] [UNK] NAÏVE 很 好 words unheard"]))[0].tolist()
    words = {index: word for word, index in json.loads(files["tokenizer.json"])["model"]["vocab"].items()}
    assert [words[i] for i in ids] == ["[", "pad", "]", "[", "unk", "]", "naïve", "很", "好", "words", "[UNK]"] + [
        "[PAD]"
    ] * 5
    assert files == fit_transforms(TransformsSection(max_tokens=16), store, digest)


def test_adult_without_header_quarantines_its_comment_line(client: Client, store: ObjectStore):
    root = need("adult")
    sources = [{"url": "adult/adult.data.xz", "split": "train"}, {"url": "adult/adult.test.xz", "split": "test"}]
    csv = {"header": False, "columns": ADULT}
    names = {"<=50K.": "<=50K", ">50K.": ">50K"}
    digest = prepare(
        section(sources=sources, root=root, format="csv", csv=csv, target="income", target_names=names), store, client
    )
    meta = read_manifest(store, digest).meta
    assert (meta["rows_in"], meta["rows_out"]) == (48_843, 48_842)
    assert meta["splits"]["test"] == 16_281
    assert [(r["_file"], r["rule"], r["raw"]) for r in read_quarantine(store, digest, 5)] == [
        ("adult/adult.test.xz", "ragged", "|1x3 Cross validator")
    ]
    assert json.loads(fit_transforms(TransformsSection(), store, digest)["transforms.json"])["target"]["classes"] == [
        "<=50K",
        ">50K",
    ]


def test_chinese_reviews_with_stray_quotation_marks_lose_no_row(client: Client, store: ObjectStore):
    root, url = need("chnsenticorp"), "chnsenticorp/ChnSentiCorp.zip"
    sources = [
        {"url": url, "members": f"ChnSentiCorp/{n}.tsv", "split": s} for n, s in (("train", "train"), ("dev", "test"))
    ]
    meta = read_manifest(store, prepare(section(sources=sources, root=root, kind="text"), store, client)).meta
    assert (meta["rows_in"], meta["rows_out"], meta["splits"]["test"]) == (10_800, 10_800, 1_200)


def test_a_few_reviews_are_read_from_inside_a_tar_of_fifty_thousand(client: Client, store: ObjectStore):
    root, url = need("imdb"), "imdb/aclImdb_labelled.tar.xz"
    sources = [{"url": url, "members": "aclImdb/test/*/10?_*.txt"}]
    data = section(sources=sources, root=root, kind="text", shard_rows=7)
    meta = read_manifest(store, prepare(data, store, client)).meta
    assert meta["rows_in"] == meta["rows_out"] == 20
    assert set(meta["profile"]["label"]["counts"]) == {"neg", "pos"}


SCHEDULER = """
import asyncio, sys
from distributed import Scheduler, Worker

async def main():
    async with Scheduler(host="127.0.0.1", port=0, dashboard_address="127.0.0.1:0") as scheduler:
        async with Worker(scheduler.address, nthreads=1):
            print(scheduler.address, flush=True)
            await scheduler.finished()

asyncio.run(main())
"""


@pytest.fixture
def scheduler() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A scheduler with a worker in a process of its own, and its address."""
    process = subprocess.Popen([sys.executable, "-c", SCHEDULER], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()


def test_a_scheduler_killed_while_preparing_is_a_lost_worker(
    scheduler: tuple[subprocess.Popen[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    process, address = scheduler
    monkeypatch.setattr("infra.schedulers.CONNECT_SECONDS", 2)
    write_csv(tmp_path / "rows.csv", rows=2000)

    def kill(event: dict[str, Any]) -> None:
        if event["done"] >= 1:
            process.kill()

    with pytest.raises(WorkerLost):
        prepare_dataset(
            csv_section(tmp_path),
            identified(csv_section(tmp_path)),
            open_store(str(tmp_path / "store")),
            lambda: open_cluster(ClusterSection(address=address)),
            kill,
        )
