"""Batches of work on a cluster whose workers die."""

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from distributed import Client

from infra.clusters import open_cluster
from infra.dask_settings import SETTINGS
from storage.errors import WorkerLost
from tasks.frames.gathering import spread
from tasks.frames.shelved import BATCH_WEIGHT, BATCHES, EACH, make_batches
from tasks.frames.streams import Entry
from tasks.sections import ClusterSection


@dataclass(frozen=True)
class Item:
    """`kills`: the worker that does it."""

    weight: int
    kills: bool = False
    name: str = "good.csv"

    @property
    def key(self) -> str:
        return self.name

    @property
    def entries(self) -> tuple[Entry, ...]:
        return (Entry("", "", self.name),)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    os.environ["MILLRACE_ROOT"] = str(tmp_path_factory.mktemp("root"))
    with open_cluster(ClusterSection(workers=2, memory_gib=1.0)) as client:
        yield client
    del os.environ["MILLRACE_ROOT"]


def test_of_a_batch_whose_workers_die_each_item_is_done_by_itself(client: Client, tmp_path: Path):
    """The batch kills every worker that takes all three; no item does."""

    def work(batch: list[Item]) -> list[int]:
        if len(batch) > 1 and batch[0].kills:
            (tmp_path / f"{os.getpid()}").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return [item.weight for item in batch]

    batches = [[Item(1, kills=True), Item(2), Item(3)], [Item(4), Item(5)]]
    assert dict(spread(client, "weigh", work, batches)) == {0: [1, 2, 3], 1: [4, 5]}
    assert len(list(tmp_path.iterdir())) == 4  # Dask's patience with one task


def test_an_item_that_kills_its_workers_is_named_and_the_others_are_done(client: Client, tmp_path: Path):
    def work(batch: list[Item]) -> list[int]:
        for item in batch:
            if item.kills:
                os.kill(os.getpid(), signal.SIGKILL)
            (tmp_path / item.name).touch()
        return [0] * len(batch)

    batch = [Item(1, name="one.csv"), Item(1, True, "huge.csv"), Item(1, name="two.csv")]
    with pytest.raises(
        WorkerLost, match=r"lost the work at huge\.csv .*raise cluster\.memory_gib or lower data\.shard_rows"
    ):
        list(spread(client, "weigh", work, [batch]))
    assert {path.name for path in tmp_path.iterdir()} == {"one.csv", "two.csv"}


def test_workers_are_set_up_for_tasks_of_seconds(client: Client):
    def found(dask_worker: object = None) -> dict[str, object]:
        import dask.config

        return {name: dask.config.get(name) for name in SETTINGS}

    client.wait_for_workers(2, timeout=60)
    assert list(client.run(found).values()) == [SETTINGS] * 2


def test_small_shards_go_together_and_large_ones_alone():
    small, large = [Item(1000)] * 20_000, [Item(BATCH_WEIGHT)] * 40
    assert {sum(item.weight + EACH for item in batch) for batch in make_batches(small)[:-1]} == {256 * 1400}
    assert [len(batch) for batch in make_batches(large)] == [1] * 40
    assert BATCHES <= len(make_batches([Item(20)] * 300)) <= BATCHES + 2
    assert [len(batch) for batch in make_batches([Item(20)] * 5)] == [1] * 5
    assert [item for batch in make_batches(small) for item in batch] == small
