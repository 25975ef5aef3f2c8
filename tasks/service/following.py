"""What the registry says is to be served: a model's log is looked at for its next entry, and verified where it has grown."""

from dataclasses import dataclass, field

import msgspec

from storage.chains import indexes
from storage.entries import entry_key, model_log
from storage.objects import ObjectStore
from storage.registry import Registry
from storage.standing import Traffic
from tasks.scoring.policy import Policy
from tasks.service.routes import Route


@dataclass
class Following:
    """One model: `wanted` is the alias to follow, or the number of one version. Its methods block: for a thread beside the event loop."""

    store: ObjectStore
    registry: Registry
    name: str
    wanted: str | int
    traffic: Traffic = field(default_factory=Traffic)
    _settled: int = 0
    _looked: int = 0

    def look(self) -> Route | None:
        """What is wanted, if the log has grown since the last `settle`, else None. NotFound; Untrusted when it was tampered with."""
        if self._settled and (isinstance(self.wanted, int) or not self._grown(self._settled)):
            return None
        self._looked = len(indexes(self.store, model_log(self.name)))
        version = self.registry.find(self.name, self.wanted)
        if isinstance(self.wanted, int):
            return Route(self.name, version.number, alias="")
        traffic = self.registry.traffic(self.name, self.wanted)
        route = _beside(Route(self.name, version.number, self.wanted), traffic)
        self.traffic = traffic
        return route

    def settle(self) -> None:
        """What was looked at is served now; look for what comes after it."""
        self._settled = self._looked

    def moved(self) -> bool:
        """Whether the log has grown since the last `look`, whatever came of that."""
        return self._grown(self._looked)

    def _grown(self, entries: int) -> bool:
        return self.store.size(entry_key(self.name, entries)) is not None


def _beside(route: Route, traffic: Traffic) -> Route:
    """The route with what is tried beside the champion."""
    if traffic.champion:
        route = msgspec.structs.replace(route, champion=traffic.champion.number)
    if canary := traffic.canary:
        slower = Policy.from_json(canary.policy).slower
        route = msgspec.structs.replace(
            route, canary=canary.version.number, share=canary.share, salt=canary.salt, slower=slower
        )
    if shadow := traffic.shadow:
        route = msgspec.structs.replace(route, shadow=shadow.version.number, shadow_share=shadow.share)
    return route
