"""Following the registry: what was refused is tried again ever more rarely, but what the registry says after that at once."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from storage.objects import open_store
from storage.registry import Registry, open_registry
from tasks.service.channel import Refused
from tasks.service.following import Following
from tasks.service.routes import Route
from tasks.service.tally import Tally
from tasks.service.turning import Turner

POLL_SECONDS = 0.5


class Crew:
    """Workers that refuse version 2."""

    def __init__(self) -> None:
        self.asked = 0

    async def ask_all(self, name: str, routes: list[Any]) -> None:
        if name == "prepare" and 2 in (routes[0]["champion"], routes[0]["canary"]):
            self.asked += 1
            raise Refused("version 2 is damaged")


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    registry = open_registry(str(tmp_path / "store"))
    for digest in ("a" * 64, "b" * 64, "c" * 64):
        registry.register("iris", digest, digest)
    registry.promote("iris", 1)
    return registry


@pytest.mark.parametrize("alias", ["champion", "canary"])
def test_a_move_after_a_refused_one_is_followed_at_once(
    registry: Registry, tmp_path: Path, alias: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    following = Following(open_store(str(tmp_path / "store")), registry, "iris", "champion")
    slept, turn_of_the_loop = [0.0], asyncio.sleep

    async def sleep(seconds: float) -> None:
        for _ in range(round(seconds / POLL_SECONDS)):
            slept[0] += POLL_SECONDS
            await turn_of_the_loop(0)

    async def run() -> tuple[float, Route]:
        crew: Any = Crew()
        turner = Turner(crew, Tally())
        route = following.look()
        assert route
        turner.begin([route])
        following.settle()
        registry.promote("iris", 2) if alias == "champion" else registry.canary("iris", 2, 0.5)
        task = asyncio.ensure_future(turner.follow(following, POLL_SECONDS))
        while crew.asked < 9:  # by then the pauses have grown to the longest
            await turn_of_the_loop(0)
        registry.withdraw("iris", "canary") if alias == "canary" else None
        registry.promote("iris", 3)
        before = slept[0]
        while turner.routes["iris"].champion != 3:
            await turn_of_the_loop(0)
        task.cancel()
        return slept[0] - before, turner.routes["iris"]

    monkeypatch.setattr(asyncio, "sleep", sleep)
    waited, route = asyncio.run(run())
    assert waited <= 2 * POLL_SECONDS
    assert route.canary == 0


def test_a_log_that_cannot_be_believed_is_not_read_each_time(registry: Registry, tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store"))
    following = Following(store, open_registry(store.url), "iris", "champion")
    store.put("models/iris/log/00000000000000000004.json", b"{}")
    with pytest.raises(Exception, match="cannot be read"):
        following.look()
    assert not following.moved()
    store.put("models/iris/log/00000000000000000005.json", b"{}")
    assert following.moved()
