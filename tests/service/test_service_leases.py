"""A worker's share of a key's rate: taken out of one bucket for all, and never asked for without an end."""

import asyncio
import threading
from typing import Any

import pytest

from tasks.service.grants import Grant, Grants
from tasks.service.refusals import Refusal


class Supervisor:
    """Gives `given` requests at a time, and counts how often it was asked."""

    def __init__(self, given: float) -> None:
        self.given, self.asked = given, 0

    async def ask(self, name: str, value: Any) -> list[Any]:
        self.asked += 1
        await asyncio.sleep(0)
        return [self.given, "1"]


def lease(supervisor: Supervisor, requests: int) -> tuple[int, int]:
    """How many of so many requests, each a turn of the loop later than the one before, were let through and refused."""

    async def one(grants: Grants, grant: Grant, turn: int) -> bool:
        for _ in range(turn):
            await asyncio.sleep(0)
        try:
            if grant.lease < 1:
                await grants._lease(grant)
        except Refusal:
            return False
        grant.lease -= 1
        return True

    async def all_of_them() -> list[bool]:
        channel: Any = supervisor
        grants, grant = Grants(channel, True), Grant("k", frozenset(), 0.0, 10.0)
        return await asyncio.gather(*(one(grants, grant, turn % 7) for turn in range(requests)))

    found: list[list[bool]] = []
    thread = threading.Thread(target=lambda: found.append(asyncio.run(all_of_them())), daemon=True)
    thread.start()
    thread.join(20)
    if thread.is_alive():
        pytest.fail("the loop hangs")
    return sum(found[0]), len(found[0]) - sum(found[0])


@pytest.mark.parametrize("given", [1.0, 2.0, 5.0])
def test_requests_that_come_at_any_turn_of_the_loop_share_what_is_given(given: float) -> None:
    supervisor = Supervisor(given)
    assert lease(supervisor, 60) == (60, 0)
    assert supervisor.asked == 60 / given


def test_an_empty_bucket_refuses_all_who_wait_with_one_question() -> None:
    supervisor = Supervisor(0.0)
    passed, refused = lease(supervisor, 20)
    assert (passed, refused) == (0, 20)
    assert supervisor.asked < 20
