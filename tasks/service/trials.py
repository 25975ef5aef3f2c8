"""The supervisor's trials of canaries: fed with what the workers saw, decided by `tasks.scoring.trial`, acted upon in the registry."""

import logging
import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from storage.errors import ConfigError, Conflict, MillraceError
from storage.registry import Registry
from tasks.scoring.policy import Policy
from tasks.service.following import Following
from tasks.service.outcomes import ANSWERS, BATCHES, FAILED, LABELS, NONE, SLOW, WRONG
from tasks.service.routes import Route

if TYPE_CHECKING:  # numpy is loaded only where there is a canary
    from tasks.scoring.trial import Trial, TrialVerdict

log = logging.getLogger(__name__)
RETRY_SECONDS = 5.0  # between tries to write a decision down
Canary = tuple[int, int, int]  # champion, canary, index of the registry's entry: another of these is another trial


@dataclass
class Running:
    """One trial of the model `name`. `told`: the action that was decided; `due`: when it is to be acted upon (by `time.monotonic`)."""

    name: str
    canary: Canary
    trial: "Trial"
    began: float
    counts: dict[int, list[int]] = field(default_factory=dict)
    told: str = ""
    due: float = math.inf
    failure: str = ""

    @property
    def hours(self) -> float:
        """Since the canary began."""
        return (time.time() - self.began) / 3600


@dataclass
class Trials:
    """By model. `following` knows what the registry said last."""

    registry: Registry
    following: Mapping[str, Following]
    _running: dict[str, Running] = field(default_factory=dict)

    def add(self, reports: Iterable[Any], routes: Mapping[str, Route]) -> None:
        """Take a worker's counts `[model, version, counts]` into account, of those who are tried."""
        for name, number, counts in reports:
            running = self._current(name, routes)
            if running and number in running.canary[:2]:
                held = running.counts.get(number, NONE)
                running.counts[number] = [a + b for a, b in zip(held, counts, strict=True)]

    def decided(self, routes: Mapping[str, Route]) -> "list[tuple[Running, TrialVerdict]]":
        """The verdicts that are to be acted upon; again after a while, until `act` has done so."""
        found = []
        for name in routes:
            running = self._current(name, routes)
            if running is None:
                self._running.pop(name, None)
                continue
            self._feed(running)
            verdict = running.trial.verdict(running.hours)
            if verdict.action != running.told:
                self._tell(running, verdict)
            if running.due <= time.monotonic():
                running.due = time.monotonic() + RETRY_SECONDS
                found.append((running, verdict))
        return found

    def act(self, running: Running, verdict: "TrialVerdict") -> bool:
        """One entry in the registry; of several services one wins. False where it could not be written: the verdict comes again. Blocks."""
        try:
            self._write(running, verdict)
        except Conflict as error:
            log.info("canary of %s: somebody else was first: %s", running.name, error)
        except MillraceError as error:
            if str(error) != running.failure:
                log.error("canary of %s: wanted to %s, and will try again: %s", running.name, verdict.action, error)
            running.failure = str(error)
            return False
        running.due = math.inf
        return True

    def shown(self) -> dict[str, Any]:
        """The trials as they stand, for the status page."""
        return {name: running.trial.to_json(running.hours) for name, running in self._running.items()}

    def _tell(self, running: Running, verdict: "TrialVerdict") -> None:
        """Another action than before is decided."""
        running.told, decided = verdict.action, verdict.action != "wait"
        running.due = 0.0 if decided and running.trial.policy.automatic else math.inf
        if decided:
            log.info("canary of %s: %s: %s", running.name, verdict.action, "; ".join(verdict.reasons))

    def _write(self, running: Running, verdict: "TrialVerdict") -> None:
        if (
            not self.registry.signs
        ):  # the first use would make one, and who does not trust it could not read the log any more
            raise ConfigError("found no signing key, wanted one that the others trust; set MILLRACE_SIGNING_KEY to it")
        name, reason, (champion, canary, since) = running.name, "; ".join(verdict.reasons), running.canary
        if verdict.action == "promote":
            self.registry.promote(name, canary, reason=reason, expected=champion, trial=since, automatic=True)
        elif verdict.action == "roll back":
            self.registry.rollback(name, "canary", reason=reason, expected=canary, trial=since, automatic=True)
        else:
            self.registry.withdraw(name, "canary", reason=reason, trial=since, automatic=True)

    def _feed(self, running: Running) -> None:
        from tasks.scoring.sequential import Block

        champion, canary, _ = running.canary
        counts, running.counts = running.counts, {}
        a, b = counts.get(champion, NONE), counts.get(canary, NONE)
        pairs = ((ANSWERS, FAILED), (BATCHES, SLOW), (LABELS, WRONG))
        running.trial.add(*(Block(a[n], a[bad], b[n], b[bad]) for n, bad in pairs))

    def _current(self, name: str, routes: Mapping[str, Route]) -> Running | None:
        """The trial of the canary that the workers have turned to."""
        route, traffic = routes.get(name), self.following[name].traffic
        if not route or not route.canary or not traffic.canary or traffic.canary.version.number != route.canary:
            return None
        canary = route.champion, route.canary, traffic.canary.since
        running = self._running.get(name)
        if running is None or running.canary != canary:
            from tasks.scoring.trial import Trial

            policy = Policy.from_json(traffic.canary.policy)
            running = self._running[name] = Running(name, canary, Trial(policy), traffic.canary.time)
        return running
