"""A folder of small files, each one shard, and what is prepared of it with a cluster and without."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from distributed import Client
from tables import section

from infra.clusters import open_cluster
from storage.objects import ObjectStore, open_store
from tasks.frames.identity import identified
from tasks.frames.prepare import prepare_dataset
from tasks.sections import ClusterSection, DataSection

FILES = 300


def content(number: int, rows: int = 20, first: int = 0) -> str:
    lines = [
        f"{(number * rows + row) % 97},{row * 0.5},{'ab'[(number + row) % 2]}" for row in range(first, first + rows)
    ]
    return "x,y,label\n" + "\n".join(lines) + "\n"


def write_files(folder: Path, count: int) -> DataSection:
    (folder / "in").mkdir(parents=True)
    for number in range(count):
        (folder / "in" / f"{number:05d}.csv").write_text(content(number))
    return section(sources=[{"url": "*.csv"}], root=str(folder / "in"))


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    os.environ["MILLRACE_ROOT"] = str(tmp_path_factory.mktemp("root"))
    with open_cluster(ClusterSection(workers=2, memory_gib=1.0)) as client:
        yield client
    del os.environ["MILLRACE_ROOT"]


@pytest.fixture(scope="module")
def prepared(client: Client, tmp_path_factory: pytest.TempPathFactory) -> tuple[DataSection, ObjectStore]:
    """So many files, prepared once."""
    return prepared_in(tmp_path_factory.mktemp("prepared"), FILES, client)


def prepared_in(folder: Path, count: int, client: Client) -> tuple[DataSection, ObjectStore]:
    data, store = write_files(folder, count), open_store(str(folder / "store"))
    prepare_dataset(data, identified(data), store, lambda: nullcontext(client), lambda event: None)
    return data, store


def no_cluster() -> AbstractContextManager[Client]:
    pytest.fail("a cluster was opened")


def again(data: DataSection, store: ObjectStore) -> tuple[str, list[dict[str, Any]]]:
    """The data set prepared where no cluster may be opened, and what was reported."""
    events: list[dict[str, Any]] = []
    digest = prepare_dataset(data, identified(data), store, no_cluster, events.append, alone=True)
    return digest, events


def afresh(data: DataSection, folder: Path, client: Client) -> str:
    """The data set prepared in an empty store."""
    store = open_store(str(folder / "afresh"))
    return prepare_dataset(data, identified(data), store, lambda: nullcontext(client), lambda event: None)


def known(events: list[dict[str, Any]]) -> str:
    return next(event["event"] for event in events if "event" in event)


def inside(data: DataSection, number: int) -> Path:
    return Path(data.root, f"{number:05d}.csv")
