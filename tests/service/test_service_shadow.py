"""A shadow is asked beside the champion, and nobody waits for it."""

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from handmade import ITEMS, iris_store

from tasks.service.arms import Arms
from tasks.service.batcher import Cost
from tasks.service.capture import Capture
from tasks.service.exchange import Request
from tasks.service.limits import Limits
from tasks.service.loading import Loaded, Loader
from tasks.service.models import Models
from tasks.service.notes import Notes
from tasks.service.predicting import predict_items
from tasks.service.routes import Route
from tasks.service.settings import CaptureSettings
from tasks.service.tally import Tally

ROUTE = Route("iris", 1, shadow=2, shadow_share=1.0)
LONG = Cost(1.0, 0.0)  # forwards are computed in a thread


class Hanging:
    """A model whose forwards wait for `free`."""

    def __init__(self, whole: Any, free: threading.Event) -> None:
        self.transforms, self.classes, self._whole, self._free = whole.transforms, whole.classes, whole, free

    def parse(self, items: Sequence[object]) -> dict[str, list[Any]]:
        return self._whole.parse(items)

    def predict(self, columns: dict[str, list[Any]]) -> Any:
        self._free.wait(30)
        return self._whole.predict(columns)


class Two:
    """A loader of a champion and a shadow."""

    def __init__(self, champion: Loaded, shadow: Loaded) -> None:
        self._loaded = {1: champion, 2: shadow}

    def load(self, name: str, number: int) -> Loaded:
        return self._loaded[number]


async def never() -> dict[str, Any]:
    return await asyncio.get_running_loop().create_future()


def test_answers_do_not_wait_for_a_shadow_that_hangs_and_what_it_has_no_room_for_is_left_out(tmp_path: Path) -> None:
    free = threading.Event()
    champion = replace(Loader(*iris_store(tmp_path)).load("iris", 1), cost=LONG)
    shadow: Any = replace(
        champion, version=replace(champion.version, number=2), runtime=Hanging(champion.runtime, free)
    )
    loader: Any = Two(champion, shadow)

    async def use() -> dict[str, float]:
        tally, arms = Tally(), Arms()
        models = Models(loader, Limits(wait_seconds=1e9, queue_rows=10), tally, arms)
        notes = Notes(models, tally, arms, Capture(CaptureSettings(), tally))
        await models.prepare([ROUTE])
        models.turn([ROUTE])
        for _ in range(20):
            connection = SimpleNamespace(lost=False, awaited=None)
            scope = {"method": "POST", "path": "/predict", "headers": [], "extensions": {"connection": connection}}
            request = Request(scope, never, 0.0)
            served = await models.pick(request, ROUTE, None)
            rows = await asyncio.wait_for(predict_items(notes, request, ROUTE, served, ITEMS[:1]), 20)
            assert rows[0][0] == "setosa"
        free.set()
        while sum(counted := [value for key, value in tally.numbers.items() if key[0] == "millrace_shadow"]) < 20:
            await asyncio.sleep(0.001)
        assert sum(counted) == 20
        return {key[3]: value for key, value in tally.numbers.items() if key[0] == "millrace_shadow"}

    found = asyncio.run(use())
    assert set(found) == {"same", "left out"}
    assert found["left out"] == 20 - 10 - 1  # beside one that is computed, ten wait
