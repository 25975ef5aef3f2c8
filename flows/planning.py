"""A plan: what a run would do, without doing it. It walks the same chain (`flows.stages`), and only looks.

HIT: the output is there and whole. MISS: it must be computed, for the reasons given. DEPENDS: it comes after a MISS; whether it must
be computed too is known when that step's output is: an equal output still makes a hit, and mends a damage that both share. No Prefect,
Dask or torch here.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from flows import stages
from flows.journal import CACHED, Journal, entry
from flows.reasons import History, why_missing
from flows.settings import PipelineConfig
from flows.shards import counted
from flows.steps import CHOOSE, JUDGE, RELEASE, Step
from flows.summary import summarise
from storage.objects import open_store
from storage.records import StepRecord
from storage.refs import Ref
from storage.root import default_storage
from tasks.caching import Trust, trust
from tasks.judgement import Judgement

HIT, MISS, DEPENDS = "HIT", "MISS", "DEPENDS"
DECIDED = (CHOOSE, JUDGE, RELEASE)  # the steps after the first decision, which a plan without it cannot walk to


@dataclass(frozen=True)
class Unknown:
    """An output that is not there yet. `step`: what would make it."""

    step: str


class Undecided(Exception):
    """The chain cannot be walked further: what follows depends on an output that is not there."""

    def __init__(self, step: str) -> None:
        super().__init__(step)
        self.step = step


@dataclass(frozen=True)
class Planned:
    """One step of a plan. `on`: the steps it waits for; `seconds`: what it took last time, None where that is not known."""

    name: str
    step: str
    state: str
    why: tuple[str, ...] = ()
    on: tuple[str, ...] = ()
    key: str = ""
    record: StepRecord | None = None
    seconds: float | None = None
    shards: Mapping[str, int] | None = None  # of a data step: known, missing, undecided

    def to_json(self) -> dict[str, Any]:
        """Plain values for programs."""
        made_by = self.record.run_id if self.record else None
        output = self.record.output.digest if self.record else None
        told: dict[str, Any] = {
            "name": self.name,
            "state": self.state,
            "why": list(self.why),
            "depends_on": list(self.on),
        }
        told |= {"key": self.key or None, "output": output, "made_by": made_by, "seconds": self.seconds}
        return {**told, "shards": self.shards}


@dataclass
class Plan:
    """What a run with this configuration would do. `judgement`: what it would come to, where all of it is known; `libraries`, `modules`:
    what the steps reach. `only_hits`: nothing is wanted of a plan in which a step is none, so it ends at the first."""

    config: PipelineConfig
    only_hits: bool = False
    started: float = field(default_factory=time.time)
    steps: list[Planned] = field(default_factory=list)
    judgement: Judgement | None = None
    libraries: dict[str, str] = field(default_factory=dict)
    modules: set[str] = field(default_factory=set)

    @property
    def storage(self) -> str:
        """The URL of the store."""
        return open_store(self.config.storage.url or default_storage()).url

    @property
    def is_hit(self) -> bool:
        """Whether a run would compute nothing."""
        return self.judgement is not None and all(step.state == HIT for step in self.steps)

    @property
    def seconds(self) -> float | None:
        """What the steps that may run took last time, together; None where nothing is known of them."""
        known = [step.seconds for step in self.steps if step.state != HIT and step.seconds is not None]
        return sum(known) if known else None

    def to_json(self) -> dict[str, Any]:
        """Plain values for programs."""
        steps = [step.to_json() for step in self.steps]
        return {"pipeline": self.config.name, "storage": self.storage, "seconds": self.seconds, "steps": steps}

    def step(self, step: Step, label: str = "", **inputs: Any) -> Any:
        """The step's output where it is there, else an Unknown."""
        name, on = label or step.name, tuple(dict.fromkeys(_unknown(inputs)))
        planned = self._depends(step, name, on) if on else self._looked_up(step, name, inputs)
        self.steps.append(planned)
        return planned.record.output if planned.record else Unknown(name)

    def each(self, step: Step, cases: Mapping[str, Mapping[str, Any]], parallel: int) -> dict[str, Any]:
        """The same for each labelled set of inputs."""
        return {case: self.step(step, f"{step.name} {case}", **inputs) for case, inputs in cases.items()}

    def read(self, function: Callable[..., Any], *values: Any) -> Any:
        """What `function` makes of outputs; `Undecided` where one is not there."""
        for step in _unknown(values):
            raise Undecided(step)
        return function(*values)

    def conclude(self, journal: Journal) -> Judgement:
        """End the journal of a run that found everything, as this plan says it does: its steps and its summary."""
        assert self.judgement
        entries = [entry(step.name, step.step, CACHED, 0.0, step.key, step.record) for step in self.steps]
        journal.use(self.libraries, self.modules)
        journal.remember(*entries)
        journal.summary = summarise(journal, self.judgement)
        return self.judgement

    def _looked_up(self, step: Step, name: str, inputs: Mapping[str, Any]) -> Planned:
        parameters = step.parameters(self.config, inputs, self.storage)
        parts = step.cache.parts(parameters)
        self.libraries.update(parts.reach.libraries)
        self.modules.update(parts.reach.modules)
        lookup, store = step.cache.look_up(parts, parameters), open_store(self.storage)
        if self.only_hits and not lookup.record:
            raise Undecided(name)
        record, shards = (
            lookup.record,
            counted(step, parameters, lookup.record, store, self.config.storage.verify_share),
        )
        if record:
            return Planned(name, step.name, HIT, (), (), parts.key, record, record.seconds, shards)
        why = why_missing(store, self._history, name, parts, lookup)
        on = () if parts.reach.obstacles else self._menders(lookup.damage)
        expected = self._expected(name)
        return Planned(name, step.name, DEPENDS if on else MISS, why, on, parts.key, None, expected, shards)

    def _menders(self, damage: tuple[str, ...]) -> tuple[str, ...]:
        """The steps before that miss, in which all of this damage was found too: what they make again may mend it."""
        found = {step.name: set(damage) & set(step.why) for step in self.steps if step.state == MISS}
        return (
            tuple(name for name, same in found.items() if same) if set(damage) <= set().union(*found.values()) else ()
        )

    def _depends(self, step: Step, name: str, on: tuple[str, ...]) -> Planned:
        return Planned(name, step.name, DEPENDS, on=on, seconds=self._expected(name))

    def undecided(self, on: str) -> None:
        """Add the steps after a decision that cannot be taken yet."""
        there = {step.step for step in self.steps}
        self.steps += [self._depends(step, step.name, (on,)) for step in DECIDED if step.name not in there]

    def _expected(self, name: str) -> float | None:
        """What computing the step took in the last run that did."""
        earlier = self._history.entry(name)
        return earlier.get("cost", {}).get("wall_seconds") if earlier else None

    @cached_property
    def _history(self) -> History:
        return History(open_store(self.storage), self.config.name)


def plan(config: PipelineConfig) -> Plan:
    """Look at every step of the pipeline. Raises what a run would raise before its first step."""
    return _looked(Plan(config))


def find_all(config: PipelineConfig) -> Plan | None:
    """The plan of a run that computes nothing; None, as soon as a step shows that it is not one."""
    planned = _looked(Plan(config, only_hits=True))
    return planned if planned.is_hit else None


def _looked(looking: Plan) -> Plan:
    token = trust.set(Trust(looking.config.storage.verify_share))
    try:
        prepared = stages.prepare(looking)
        model = stages.train(looking, prepared)
        candidates = stages.compress(looking, prepared, model)
        looking.judgement = stages.evaluate(looking, prepared, candidates)
        stages.release(looking, prepared, looking.judgement)
    except Undecided as missing:
        looking.undecided(missing.step)
    finally:
        trust.reset(token)
    return looking


def _unknown(value: Any) -> list[str]:
    """The steps that would make what is unknown in `value`."""
    if isinstance(value, Unknown):
        return [value.step]
    if isinstance(value, Ref):
        return []
    if isinstance(value, Mapping):
        value = list(value.values())
    return [step for item in value for step in _unknown(item)] if isinstance(value, list | tuple) else []
