"""The micro-batcher: gathers while busy, and lets nobody suffer for another's rows."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tasks.service.batcher import Batcher, Columns, Cost
from tasks.service.limits import Limits
from tasks.service.refusals import Refusal

SLOW, QUICK = Cost(1.0, 0.0), Cost(0.0, 0.0)


class Model:
    """Doubles numbers, fails on a batch with a negative one, remembers its batches; waits for `free`."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.free, self.started, self.third = threading.Event(), threading.Event(), threading.Event()

    def __call__(self, columns: Columns) -> list[Any]:
        self.batches.append(list(columns["n"]))
        self.started.set()
        if len(self.batches) == 3:
            self.third.set()
        self.free.wait(30)
        if min(columns["n"]) < 0:
            raise ArithmeticError("negative")
        return [2 * number for number in columns["n"]]


@pytest.fixture
def model() -> Iterator[Model]:
    model = Model()
    yield model
    model.free.set()


def run(model: Model, work: Callable[[Batcher], Any], cost: Cost = SLOW, **limits: Any) -> Any:
    """The result of the coroutine `work(batcher)`."""

    async def inside() -> Any:
        with ThreadPoolExecutor(1) as executor:
            try:
                return await work(
                    Batcher(
                        model,
                        cost,
                        executor,
                        Limits(**{"wait_seconds": 1000.0, **limits}),
                        lambda works, rows, seconds: None,
                    )
                )
            finally:
                model.free.set()

    return asyncio.run(inside())


def test_what_comes_while_the_model_is_busy_becomes_one_batch(model: Model) -> None:
    async def work(batcher: Batcher) -> list[list[Any]]:
        first = batcher.submit({"n": [1]}, 1)
        await asyncio.to_thread(model.started.wait, 30)
        others = [batcher.submit({"n": [number, number + 10]}, 2) for number in range(5)]
        model.free.set()
        return await asyncio.gather(first, *others)

    assert run(model, work) == [[2], *([2 * n, 2 * n + 20] for n in range(5))]
    assert model.batches == [[1], [0, 10, 1, 11, 2, 12, 3, 13, 4, 14]]


def test_clients_that_answer_at_once_do_not_fall_into_two_halves(model: Model) -> None:
    async def client(batcher: Batcher, number: int) -> None:
        for _ in range(4):
            await batcher.submit({"n": [number]}, 1)
            await asyncio.sleep(0)  # the turn in which its answer is sent, and its next request read
            await asyncio.sleep(0)  # and another until that is understood

    async def work(batcher: Batcher) -> None:
        first = [asyncio.ensure_future(client(batcher, number)) for number in range(4)]
        await asyncio.to_thread(model.started.wait, 30)
        others = [asyncio.ensure_future(client(batcher, number)) for number in range(4, 8)]
        await asyncio.sleep(0)
        model.free.set()
        await asyncio.gather(*first, *others)

    run(model, work)
    assert [len(batch) for batch in model.batches] == [4, 8, 8, 8, 4]


def test_full_batches_are_computed_while_the_loop_is_kept_busy(model: Model) -> None:
    async def work(batcher: Batcher) -> list[list[Any]]:
        answers = [batcher.submit({"n": [number]}, 1) for number in range(6)]
        await asyncio.to_thread(model.started.wait, 30)
        model.free.set()
        assert model.third.wait(30)  # on the loop itself: no other turn of it comes before this
        return await asyncio.gather(*answers)

    assert run(model, work, batch_rows=2) == [[2 * number] for number in range(6)]


@pytest.mark.parametrize("cost", [SLOW, QUICK])
def test_a_bad_row_fails_alone_and_is_named(model: Model, cost: Cost) -> None:
    model.free.set()

    async def work(batcher: Batcher) -> list[Any]:
        answers = [batcher.submit({"n": [1, -1 if n == 6 else n]}, 2) for n in range(9)]
        return await asyncio.gather(*answers, return_exceptions=True)

    answers = run(model, work, cost)
    refusal = answers.pop(6)
    assert answers == [[2, 2 * n] for n in range(9) if n != 6]
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.item) == (500, 1)
    assert "negative" not in refusal.message


def test_a_cancelled_request_is_not_computed(model: Model) -> None:
    async def work(batcher: Batcher) -> list[Any]:
        first = batcher.submit({"n": [1]}, 1)
        await asyncio.to_thread(model.started.wait, 30)
        gone, last = batcher.submit({"n": [2]}, 1), batcher.submit({"n": [3]}, 1)
        gone.cancel()
        model.free.set()
        return [await first, await last]

    assert run(model, work) == [[2], [6]]
    assert model.batches == [[1], [3]]


def test_too_much_waiting_is_refused_with_a_time_to_come_back(model: Model) -> None:
    async def work(batcher: Batcher) -> Refusal:
        first = batcher.submit({"n": [1]}, 1)
        await asyncio.to_thread(model.started.wait, 30)
        waiting = batcher.submit({"n": [1, 2]}, 2)
        with pytest.raises(Refusal) as refused:
            batcher.submit({"n": [1, 2]}, 2)
        model.free.set()
        assert (await first, await waiting, batcher.queued_rows) == ([2], [2, 4], 0)
        return refused.value

    refusal = run(model, work, queue_rows=3)
    assert refusal.status == 503
    assert refusal.headers == {"retry-after": "1"}


def test_a_request_that_waited_too_long_is_not_computed(model: Model) -> None:
    async def work(batcher: Batcher) -> None:
        with pytest.raises(Refusal, match="too long"):
            await batcher.submit({"n": [1]}, 1)

    run(model, work, queue_seconds=-1.0)
    assert model.batches == []


def test_a_batch_has_no_more_rows_than_its_limit(model: Model) -> None:
    async def work(batcher: Batcher) -> None:
        answers = [batcher.submit({"n": [n] * 3}, 3) for n in range(4)]
        model.free.set()
        await asyncio.gather(*answers)

    run(model, work, batch_rows=6)
    assert [len(batch) for batch in model.batches] == [6, 6]
