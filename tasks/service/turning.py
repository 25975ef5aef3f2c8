"""Following the registry: all workers load and check what is wanted, then all turn to it, so that they do so at nearly the same time."""

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from storage.errors import MillraceError
from tasks.service.channel import Refused
from tasks.service.crew import Crew
from tasks.service.following import Following
from tasks.service.routes import Route
from tasks.service.tally import Tally

LONGEST_PAUSE_SECONDS = 60.0
log = logging.getLogger(__name__)


@dataclass
class Turner:
    """`routes`: what the workers have turned to, by model."""

    crew: Crew
    tally: Tally
    routes: dict[str, Route] = field(default_factory=dict)
    _refused: dict[str, str] = field(default_factory=dict)
    _turning: asyncio.Lock = field(default_factory=asyncio.Lock)

    def begin(self, routes: Iterable[Route]) -> None:
        """What each worker is told when it begins: the champions. What is tried beside them comes with `complete`."""
        self.routes = {route.model: _alone(route) for route in routes}
        for name in self.routes:
            for outcome in ("done", "refused"):
                self.tally.count("millrace_swaps", name, outcome, by=0)
        self._note_versions()

    def told(self) -> list[Any]:
        """The routes, for a channel."""
        return msgspec.to_builtins(list(self.routes.values()))

    async def complete(self, route: Route) -> bool:
        """Turn to all of a route at the start. False where what is tried beside the champion must not serve: that stops no service."""
        if route != self.routes[route.model]:
            try:
                await self._turn(route)
            except (MillraceError, TimeoutError) as error:
                self._refuse(route.model, str(error))
                return False
        return True

    async def follow(self, following: Following, shortest: float) -> None:
        """Turn to what the registry says, again and again. What fails its checks is refused, and tried again with growing pauses, or as soon as
        the registry says something else.
        """
        pause = waited = shortest
        while True:
            await asyncio.sleep(shortest)
            try:
                if waited < pause and not await asyncio.to_thread(following.moved):
                    waited += shortest
                    continue
                waited = shortest
                route = await asyncio.to_thread(following.look)
                if route:
                    await self._turn(route)
                    following.settle()
                pause = shortest
                self._refused.pop(following.name, None)
            except (MillraceError, TimeoutError) as error:
                again = not self._refuse(following.name, str(error))
                pause = min(LONGEST_PAUSE_SECONDS, pause * 2) if again else shortest
            except Exception:  # following must outlive whatever a foreign artifact provokes
                log.exception("following %s failed", following.name)
                pause = LONGEST_PAUSE_SECONDS

    async def _turn(self, route: Route) -> None:
        """Have all workers turn. Where what is tried beside the champion must not serve, the champion moves alone, and `Refused` is raised."""
        async with self._turning:
            try:
                await self._prepared(route)
            except Refused:
                if (alone := _alone(route)) != route:
                    await self._prepared(alone)
                    await self._adopt(alone)
                raise
            await self._adopt(route)

    async def _prepared(self, route: Route) -> None:
        await self.crew.ask_all("prepare", msgspec.to_builtins([route]))

    async def _adopt(self, route: Route) -> None:
        before = self.routes.get(route.model)
        self.routes[route.model] = route
        await self.crew.ask_all("turn", self.told())
        if route != before:
            self.tally.count("millrace_swaps", route.model, "done")
            log.info("%s: version %d serves%s", route.model, route.champion, _beside(route))
            self._note_versions()

    def _refuse(self, name: str, reason: str) -> bool:
        """Tell of it, unless it is what was told last; whether it was not."""
        if self._refused.get(name) == reason:
            return False
        self._refused[name] = reason
        self.tally.count("millrace_swaps", name, "refused")
        log.error("refused: %s (version %d of %s goes on serving)", reason, self.routes[name].champion, name)
        return True

    def _note_versions(self) -> None:
        for key in [key for key in self.tally.numbers if key[0] == "millrace_model_version"]:
            del self.tally.numbers[key]
        for route in self.routes.values():
            pairs = {route.alias or "version": route.champion, "canary": route.canary, "shadow": route.shadow}
            for alias, number in pairs.items():
                if number:
                    self.tally.set("millrace_model_version", route.model, alias, to=number)


def _alone(route: Route) -> Route:
    """The route with nothing tried beside the champion."""
    return Route(route.model, route.champion, route.alias)


def _beside(route: Route) -> str:
    canary = f", version {route.canary} as canary for {route.share:.1%}" if route.canary else ""
    return canary + (f", version {route.shadow} as shadow" if route.shadow else "")
