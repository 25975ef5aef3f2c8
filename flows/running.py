"""One run: it carries the chain out, step by step, and keeps its journal. A stage flow inside the pipeline shares the pipeline's run."""

import contextvars
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

from prefect.exceptions import ExternalSignal
from prefect.logging import get_run_logger

from flows.artifacts import showing_progress
from flows.journal import CACHED, COMPUTED, FAILED, FINISHED, RUNNING, STOPPED, Journal, StepEntry, entry
from flows.reasons import History, why_missing
from flows.settings import PipelineConfig, resolve
from flows.steps import Step
from infra.launcher import children_stopped
from storage.errors import CorruptArtifact
from storage.leases import SWEEP_WAITED_FOR
from storage.leases import running as announced
from storage.objects import open_store
from storage.surroundings import surrounded
from tasks.caching import Trust, asked, made, trust
from tasks.progress import reporter, set_run

_active: contextvars.ContextVar["Run | None"] = contextvars.ContextVar("active_run", default=None)


@dataclass
class Run:
    """A run in progress."""

    flow: str
    config: PipelineConfig
    journal: Journal = field(init=False)

    def __post_init__(self) -> None:
        self.journal = Journal(self.flow, self.config)

    @property
    def storage(self) -> str:
        """The URL of the store that this run reads and writes."""
        return self.journal.storage

    def step(self, step: Step, label: str = "", **inputs: Any) -> Any:
        """Run one step and return its ref; raises what the step raised."""
        name = label or step.name
        entry, result = self._carried_out(step, name, step.parameters(self.config, inputs, self.storage))
        self.journal.enter(entry)
        return result()

    def each(self, step: Step, cases: Mapping[str, Mapping[str, Any]], parallel: int) -> dict[str, Any]:
        """Run a step once for each labelled set of inputs, `parallel` at a time; the refs by label, in order."""
        pool = ThreadPoolExecutor(parallel)
        futures: dict[str, Future[tuple[StepEntry, Callable[[], Any]]]] = {}
        try:
            for case, inputs in cases.items():
                parameters = step.parameters(self.config, inputs, self.storage)
                work = partial(self._carried_out, step, f"{step.name} {case}", parameters)
                futures[case] = pool.submit(contextvars.copy_context().run, work)
            ended = {case: future.result() for case, future in futures.items()}
        except (KeyboardInterrupt, ExternalSignal):  # a cancelled run waits for nobody
            with children_stopped():
                pool.shutdown(cancel_futures=True)
            raise
        finally:
            pool.shutdown(cancel_futures=True)
            self.journal.remember(*(entry for entry, _ in _results(futures.values())))
        self.journal.enter(*(entry for entry, _ in ended.values()))  # all of them, before one that failed says so
        return {case: result() for case, (_, result) in ended.items()}

    def read(self, function: Callable[..., Any], *values: Any) -> Any:
        """What `function` makes of outputs, which are there."""
        return function(*values)

    @cached_property
    def _history(self) -> History:
        return History(open_store(self.storage), self.config.name)

    def _carried_out(self, step: Step, name: str, parameters: Mapping[str, Any]) -> tuple[StepEntry, Callable[[], Any]]:
        """What is to be remembered of the step, and what gives its output or raises what it raised."""
        started, cache = time.perf_counter(), step.cache
        parts = cache.parts(parameters)
        lookup = cache.look_up(parts, parameters)
        self.journal.use(parts.reach.libraries, parts.reach.modules)
        store = open_store(self.storage)
        why = () if lookup.record else why_missing(store, self._history, name, parts, lookup)
        self.report(name, {"event": "started"})
        with asked(parts, lookup):
            state = step.load()(**parameters, return_state=True)
        seconds, record = time.perf_counter() - started, None
        if state.is_completed():
            record = made(parts.key)
            outcome = COMPUTED if record else CACHED
            record = record or lookup.record or cache.look_up(parts, parameters).record
            self.report(name, {"event": outcome, "seconds": round(seconds, 2)})
        else:
            outcome = FAILED
        return entry(name, step.name, outcome, seconds, parts.key, record, why), state.result

    def report(self, stage: str, event: dict[str, Any]) -> None:
        """Tell whoever listens, and the run's log."""
        reporter(stage, get_run_logger())(event)


def _results(futures: Iterable[Future[Any]]) -> list[Any]:
    """What those gave that came to their end."""
    return [one.result() for one in futures if one.done() and not one.cancelled() and not one.exception()]


@contextmanager
def running(
    flow: str,
    preset: str | None,
    config: PipelineConfig | None,
    overrides: Mapping[str, Any] | None,
    force: bool = False,
) -> Iterator[Run]:
    """The run that is going on, or a new one where a flow is started by itself. `force`: every step runs, found or not."""
    active = _active.get()
    if active is not None:
        yield active
        return
    run = Run(flow, resolve(preset, config.model_dump(mode="json") if config else None, overrides))
    set_run(run.journal.run_id, get_run_logger())
    tokens = _active.set(run), trust.set(Trust(run.config.storage.verify_share, force))
    try:
        with surrounded(run.config.storage.variables()), showing_progress(run.config.name):
            waiting = partial(run.report, "store", {"event": SWEEP_WAITED_FOR})
            with announced(open_store(run.storage), run.journal.run_id, waiting), _kept(run.journal):
                yield run
    finally:
        _active.reset(tokens[0])
        trust.reset(tokens[1])


@contextmanager
def _kept(journal: Journal) -> Iterator[None]:
    """However the run ends, its manifest says so, and what it was made with."""
    try:
        journal.begin()
        journal.keep(RUNNING)  # whoever is killed in the first step is known to have begun
        yield
    except Exception as error:
        journal.close(FAILED, f"{type(error).__name__}: {error}")
        raise
    except BaseException as signal:
        journal.close(STOPPED, type(signal).__name__)
        raise
    journal.keep(FINISHED)


def mended(run: Run, work: Callable[[], Any]) -> Any:
    """What `work` gives; where it meets a damaged artifact, it is done once more with every byte checked, so that this is made anew."""
    try:
        return work()
    except CorruptArtifact as error:
        run.report("mend", {"event": "a damaged artifact is made again", "reason": str(error)})
        trust.set(Trust(1.0, trust.get().force))
        return work()
