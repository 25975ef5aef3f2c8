"""Versions that come and go under load, and whether each answer was by one that might answer: no request fails, none is answered by a stranger."""

import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from commands import wait_for
from handmade import Running
from load import Answer, Load

from storage.aliases import CANARY, CHAMPION
from storage.history import Tenure
from storage.registry import Registry
from tasks.service.keys import rotate_key, split_token

GRACE_SECONDS = 2.0  # how long after a move the version from before may still be asked
BY_HAND = {"automatic": False}
MOVES = ("promote", CANARY, "rollback")


@dataclass
class Swaps:
    """Moves what `service` serves of model `name` (two versions at least) while `load` runs, and changes the key that it sends."""

    registry: Registry
    name: str
    service: Running
    load: Load
    keys: Path
    waits_ms: list[float] = field(default_factory=list)
    rotations: int = 0

    def run(self, count: int) -> int:
        """At least `count` moves, in rounds of a promotion, a canary, its promotion, a rollback and a new key; how many there were."""
        before = len(self.registry.entries(self.name))
        for move in itertools.islice(itertools.cycle(self._moves()), count):
            started = time.perf_counter()
            move()
            wait_for(self._is_served, "the service to follow")
            self.waits_ms.append((time.perf_counter() - started) * 1e3)
            if len(self.waits_ms) % 4 == 0:
                self._rotate()
        return sum(entry.action in MOVES for entry in self.registry.entries(self.name)[before:])

    def _moves(self) -> list[Callable[[], object]]:
        return [
            lambda: self.registry.promote(self.name, self._other()),
            lambda: self.registry.canary(self.name, self._other(), 0.3, BY_HAND),
            lambda: self.registry.promote(self.name, self._other()),
            lambda: self.registry.rollback(self.name),
        ]

    def _other(self) -> int:
        champion = self.registry.alias(self.name, CHAMPION)
        assert champion is not None
        return next(v.number for v in self.registry.versions(self.name) if v.number != champion.number)

    def _is_served(self) -> bool:
        """Whether the service's status page shows what the registry says."""
        traffic = self.registry.traffic(self.name)
        wanted = {CHAMPION: traffic.champion, CANARY: traffic.canary and traffic.canary.version}
        shown = self.service.client.get("/status.json", headers=dict(self.load.headers)).json()["models"][0]["versions"]
        found = {version["role"]: version["version"] for version in shown}
        return found == {role: version.number for role, version in wanted.items() if version}

    def _rotate(self) -> None:
        """A new key; the one from before holds for a while yet, as what is under way was sent with it."""
        parts = split_token(self.load.headers["X-API-Key"])
        assert parts is not None
        self.load.headers = {"X-API-Key": rotate_key(self.keys, parts[0], GRACE_SECONDS)}
        self.rotations += 1


def failed(answers: Iterable[Answer]) -> list[Answer]:
    """Those that were not answered with 200."""
    return [answer for answer in answers if answer.status != 200]


def by_strangers(answers: Iterable[Answer], tenures: Iterable[Tenure]) -> Iterator[Answer]:
    """Answers by a version that was neither champion nor canary at any time from `GRACE_SECONDS` before they were asked until they came."""
    held = [tenure for tenure in tenures if tenure.alias in (CHAMPION, CANARY)]
    for answer in answers:
        if answer.status == 200 and not any(_may(tenure, answer) for tenure in held):
            yield answer


def _may(tenure: Tenure, answer: Answer) -> bool:
    begun = tenure.start <= answer.done
    not_over = tenure.end is None or tenure.end >= answer.sent - GRACE_SECONDS
    return tenure.version.number == answer.body["version"] and begun and not_over
