"""What the supervisor counts for all workers: each key's requests, and each client's wrong keys; whatever clocks and addresses do."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tasks.service.authority import FREE_FAILURES, Authority
from tasks.service.keys import create_key

WRONG = b"0011223344556677.wrong"


class Clock:
    """Stands where it is put."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def authority(tmp_path: Path, clock: Clock) -> Authority:
    create_key(tmp_path / "keys.json", ["predict:*"])
    return Authority(tmp_path / "keys.json", clock=clock)


def taken(authority: Authority, rate: float) -> float:
    """What is given until nothing more is."""
    total = 0.0
    while given := asyncio.run(authority.take(["key", rate]))[0]:
        total += given
    return total


def guessed(authority: Authority, addresses: list[str]) -> list[int]:
    """What a wrong key from each address gets."""

    async def run() -> list[dict[str, Any]]:
        return [await authority.identify([WRONG, address, False]) for address in addresses]

    return [answer["status"] for answer in asyncio.run(run())]


@pytest.mark.parametrize("rate", [0.5, 3.0, 17.0, 19.9, 250.0])
def test_a_key_gets_its_whole_rate(authority: Authority, clock: Clock, rate: float) -> None:
    burst = taken(authority, rate)
    total = 0.0
    for _ in range(200):
        clock.now += 0.1
        total += taken(authority, rate)
    assert burst == int(max(1.0, 2 * rate))
    assert total == pytest.approx(20 * rate, abs=1)


def test_a_clock_that_is_set_back_takes_nothing_from_a_key(authority: Authority, clock: Clock) -> None:
    taken(authority, 10.0)
    clock.now -= 3600
    assert taken(authority, 10.0) == 0
    clock.now += 1
    assert taken(authority, 10.0) == 10


def test_a_clock_that_is_set_back_keeps_no_new_client_out(authority: Authority, clock: Clock) -> None:
    assert guessed(authority, ["192.0.2.1"]) == [401]
    clock.now -= 3600
    assert guessed(authority, ["192.0.2.1"]) == [401]


def test_all_addresses_of_one_network_of_version_6_guess_together(authority: Authority) -> None:
    free = int(FREE_FAILURES)
    assert guessed(authority, [f"2001:db8::{number:x}" for number in range(free + 1)]) == [401] * free + [429]
    assert guessed(authority, ["2001:db8:0:1::1"]) == [401]


def test_clients_of_version_4_behind_a_socket_of_version_6_guess_apart(authority: Authority) -> None:
    addresses = [f"::ffff:192.0.2.{number}" for number in range(int(FREE_FAILURES) + 1)]
    assert set(guessed(authority, addresses)) == {401}


def test_who_was_known_does_not_wait_behind_strangers(tmp_path: Path) -> None:
    token = create_key(tmp_path / "keys.json", ["predict:*"]).encode()
    authority = Authority(tmp_path / "keys.json")
    order: list[str] = []

    async def ask(who: str, asked: list[Any]) -> int:
        status = (await authority.identify(asked))["status"]
        order.append(who)
        return status

    async def run() -> list[int]:
        strangers = [ask("stranger", [WRONG, f"192.0.2.{number}", False]) for number in range(20)]
        return await asyncio.gather(*strangers, ask("known", [token, "192.0.2.99", True]))

    assert asyncio.run(run()) == [401] * 20 + [200]
    assert order.index("known") < 10
