"""One cluster for all that a block does."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from infra.sharing import lent, one_cluster
from storage.errors import SchemaError, WorkerLost


class Clusters:
    """Stands for what opens clusters: keeps what was opened, and what was closed, by number."""

    def __init__(self) -> None:
        self.opened, self.closed = 0, list[int]()

    @contextmanager
    def __call__(self) -> Iterator[int]:
        self.opened += 1
        number = self.opened
        yield number
        self.closed.append(number)


def test_steps_of_a_block_get_the_same_cluster_and_it_ends_with_the_block():
    clusters = Clusters()
    with one_cluster():
        for _ in range(2):
            with lent("local", clusters) as client:
                assert client == 1
        assert clusters.closed == []
    assert clusters.closed == [1]


def test_a_block_with_nothing_to_do_opens_none():
    with one_cluster():
        pass


def test_a_step_alone_has_a_cluster_of_its_own():
    clusters = Clusters()
    for _ in range(2):
        with lent("local", clusters):
            pass
    assert clusters.closed == [1, 2]


def test_another_description_is_another_cluster():
    clusters = Clusters()
    with one_cluster(), lent("local", clusters) as one, lent("tcp://there:8786", clusters) as other:
        assert one != other


def test_a_cluster_that_lost_work_is_not_used_again():
    clusters = Clusters()
    with one_cluster():
        with pytest.raises(WorkerLost), lent("local", clusters):
            raise WorkerLost("the scheduler is gone")
        assert clusters.closed == [1]
        with lent("local", clusters) as client:
            assert client == 2
        with pytest.raises(SchemaError), lent("local", clusters):
            raise SchemaError("a column is missing")
        assert clusters.closed == [1]
    assert clusters.closed == [1, 2]
