"""A worker's loaded versions, and which of them answers. A swap replaces one reference; requests under way end where they began."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from tasks.inference.runtime import Runtime
from tasks.service.arms import Arms
from tasks.service.batcher import Batcher, Columns
from tasks.service.exchange import Request
from tasks.service.grants import not_found
from tasks.service.limits import Limits
from tasks.service.loading import Loaded, Loader
from tasks.service.queues import Work
from tasks.service.routes import Route
from tasks.service.tally import Tally

SPARE = 1  # versions of a model that no alias points at any more stay for a rollback, the latest so many
log = logging.getLogger(__name__)


@dataclass(eq=False)
class Served:
    """A loaded version with its batcher. A request keeps the one it began with until its answer.

    `mirror` batches what it is asked as a shadow: its forwards have a thread of their own, as no answer waits for them.
    """

    name: str
    number: int
    runtime: Runtime
    batcher: Batcher
    created: int
    memory_bytes: int
    mirror: Batcher
    used: float = 0.0


@dataclass
class Models:
    """`routes` by model is the one reference that a swap replaces; only the event loop's thread does so."""

    loader: Loader
    limits: Limits
    tally: Tally
    arms: Arms
    routes: Mapping[str, Route] = field(default_factory=dict)
    _served: dict[tuple[str, int], Served] = field(default_factory=dict)
    _loading: dict[tuple[str, int], "asyncio.Future[Served]"] = field(default_factory=dict)
    _forward: Executor = field(default_factory=lambda: ThreadPoolExecutor(1, "forward"))
    _beside: Executor = field(default_factory=lambda: ThreadPoolExecutor(1, "shadow"))
    _load: Executor = field(default_factory=lambda: ThreadPoolExecutor(1, "load"))

    @property
    def ready(self) -> bool:
        """Whether there is something to serve."""
        return bool(self.routes)

    def route(self, name: str) -> Route:
        """A model's route; an empty name is the first model's. Refusal 404."""
        route = self.routes.get(name) if name else next(iter(self.routes.values()), None)
        if route is None:
            raise not_found()
        return route

    async def pick(self, request: Request, route: Route, chosen: tuple[int, str] | None) -> Served:
        """The version that answers: the one `chosen`, or as the route says. Loaded first where it was unloaded."""
        number, request.role = chosen or route.choose(request)
        request.model, request.version = route.model, number
        served = self._served.get((route.model, number)) or await self.load(route.model, number)
        served.used = time.monotonic()
        return served

    def room(self, route: Route, key: str) -> None:
        """Refusal 429 or 503 where too much waits for the champion: said before a body is looked at."""
        if champion := self._served.get((route.model, route.champion)):
            champion.batcher.room(1, key)

    async def prepare(self, routes: Iterable[Route]) -> None:
        """Load all versions that `routes` need; an error of storage's tree when one must not serve."""
        for route in routes:
            for number in sorted(route.numbers):
                await self.load(route.model, number)

    def turn(self, routes: Sequence[Route]) -> None:
        """From now on requests are answered as `routes` say."""
        self.routes = {route.model: route for route in routes}
        self.arms.follow(self.routes)
        for route in routes:
            self._unload_spare(route)

    async def load(self, name: str, number: int) -> Served:
        """The version, loaded; those who ask for it meanwhile wait for the same."""
        place = name, number
        if place in self._served:
            return self._served[place]
        if place not in self._loading:
            loading = self._loading[place] = asyncio.ensure_future(self._loaded(place))
            loading.add_done_callback(lambda done: self._loading.pop(place, None) and done.exception())
        return await asyncio.shield(self._loading[place])

    def loaded(self) -> list[Served]:
        """All that is in memory."""
        return list(self._served.values())

    async def _loaded(self, place: tuple[str, int]) -> Served:
        loaded = await asyncio.get_running_loop().run_in_executor(self._load, self.loader.load, *place)
        served = self._served[place] = self._serve(place[0], loaded)
        self._make_room(served)
        return served

    def _serve(self, name: str, loaded: Loaded) -> Served:
        number, runtime = loaded.version.number, loaded.runtime
        predict, observe = _predictions(runtime), self._observer(name, number)
        batcher, mirror = (
            Batcher(predict, loaded.cost, thread, self.limits, observe) for thread in (self._forward, self._beside)
        )
        self.arms.know(name, number, loaded.cost)
        created = int(loaded.version.time)
        return Served(name, number, runtime, batcher, created, loaded.memory_bytes, mirror, time.monotonic())

    def _observer(self, name: str, number: int) -> Callable[[Sequence[Work], int, float], None]:
        labels = name, str(number)
        waited, took = ("millrace_queue_duration_seconds", *labels), ("millrace_batch_duration_seconds", *labels)
        size, tally, arms = ("millrace_batch_rows", *labels), self.tally, self.arms

        def observe(works: Sequence[Work], rows: int, seconds: float) -> None:
            tally.observe(size, rows)
            tally.observe(took, seconds)
            for work in works:
                tally.observe(waited, work.begun - work.came)
            arms.note_batch(name, number, rows, seconds)

        return observe

    def _unload_spare(self, route: Route) -> None:
        """Unload what no alias points at any more, except the latest."""
        spare = [s for s in self._served.values() if s.name == route.model and s.number not in route.numbers]
        for served in sorted(spare, key=lambda served: served.used)[: len(spare) - SPARE]:
            self._unload(served)

    def _make_room(self, newest: Served) -> None:
        """Unload the least recently used versions, those without an alias first, until the limit on memory holds."""
        most = self.limits.memory_mib * 2**20
        held = {(route.model, number) for route in self.routes.values() for number in route.numbers}
        others = [served for served in self._served.values() if served is not newest and served.batcher.idle]
        for served in sorted(others, key=lambda served: ((served.name, served.number) in held, served.used)):
            if not most or sum(one.memory_bytes for one in self._served.values()) <= most:
                return
            self._unload(served)

    def _unload(self, served: Served) -> None:
        log.info("unloaded %s version %d", served.name, served.number)
        self._served.pop((served.name, served.number), None)


def _predictions(runtime: Runtime) -> Callable[[Columns], list[Any]]:
    """For each row its prediction and its outputs (K,)."""

    def predict(columns: Columns) -> list[Any]:
        predictions, outputs_BK = runtime.predict(columns)
        return list(zip(predictions, outputs_BK, strict=True))

    return predict
