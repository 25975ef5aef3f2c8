"""One run: its configuration, its id, and the journal of its steps. A stage flow inside the pipeline shares the pipeline's run."""

import contextvars
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from prefect.client.schemas.objects import State
from prefect.exceptions import ExternalSignal
from prefect.logging import get_run_logger

from flows.artifacts import showing_progress
from flows.settings import PipelineConfig, resolve
from flows.steps import Step
from infra.launcher import children_stopped
from storage.objects import open_store
from storage.root import default_storage
from storage.runs import new_run_id
from storage.surroundings import surrounded
from tasks.progress import reporter, set_run

_active: contextvars.ContextVar["Run | None"] = contextvars.ContextVar("active_run", default=None)


@dataclass(frozen=True)
class StepEntry:
    """What a run remembers of one step. `seconds`: this run's, near zero for a hit."""

    name: str
    state: str  # computed | cached
    seconds: float
    key: str
    output: str  # digest


@dataclass
class Run:
    """A run in progress."""

    pipeline: str
    config: PipelineConfig
    run_id: str = field(default_factory=new_run_id)
    started: float = field(default_factory=time.time)
    steps: list[StepEntry] = field(default_factory=list)

    @property
    def storage(self) -> str:
        """The URL of the store that this run reads and writes."""
        return open_store(self.config.storage.url or default_storage()).url

    def settings(self) -> dict[str, Any]:
        """The configuration as a flow parameter."""
        return self.config.model_dump(mode="json")

    def step(self, step: Step, label: str = "", **inputs: Any) -> Any:
        """Run one step and return its ref; raises what the step raised."""
        return self._enter(label or step.name, *self._timed(step, label or step.name, self._parameters(step, inputs)))

    def each(self, step: Step, cases: Mapping[str, Mapping[str, Any]], parallel: int) -> dict[str, Any]:
        """Run a step once for each labelled set of inputs, `parallel` at a time; the refs by label, in order."""
        pool = ThreadPoolExecutor(parallel)
        try:
            futures = {}
            for case, inputs in cases.items():
                timed = partial(self._timed, step, f"{step.name} {case}", self._parameters(step, inputs))
                futures[case] = pool.submit(contextvars.copy_context().run, timed)
            ended = {case: future.result() for case, future in futures.items()}
        except (KeyboardInterrupt, ExternalSignal):  # a cancelled run waits for nobody
            with children_stopped():
                pool.shutdown(cancel_futures=True)
            raise
        finally:
            pool.shutdown(cancel_futures=True)
        return {case: self._enter(f"{step.name} {case}", *how) for case, how in ended.items()}

    def _timed(self, step: Step, label: str, parameters: Mapping[str, Any]) -> tuple[State, str, float]:
        """The step's last state, its key, and the seconds it took."""
        started, task = time.perf_counter(), step.load()
        key = task.cache_policy.key(parameters)
        self._report(label, {"event": "started"})
        state = task(**parameters, return_state=True)
        seconds = time.perf_counter() - started
        if state.is_completed():
            self._report(label, {"event": _outcome(state), "seconds": round(seconds, 2)})
        return state, key, seconds

    def _enter(self, label: str, state: State, key: str, seconds: float) -> Any:
        output = state.result()
        self.steps.append(StepEntry(label, _outcome(state), round(seconds, 3), key, output.digest))
        return output

    def _parameters(self, step: Step, inputs: Mapping[str, Any]) -> dict[str, Any]:
        sections = {name: getattr(self.config, name) for name in step.sections}
        return {**sections, **inputs, "storage": self.storage}

    def _report(self, stage: str, event: dict[str, Any]) -> None:
        reporter(stage, get_run_logger())(event)


def _outcome(state: State) -> str:
    return "cached" if state.name == "Cached" else "computed"


@contextmanager
def running(
    pipeline: str, preset: str | None, config: PipelineConfig | None, overrides: Mapping[str, Any] | None
) -> Iterator[Run]:
    """The run that is going on, or a new one where a flow is started by itself."""
    active = _active.get()
    if active is not None:
        yield active
        return
    run = Run(pipeline, resolve(preset, config.model_dump(mode="json") if config else None, overrides))
    set_run(run.run_id, get_run_logger())
    token = _active.set(run)
    try:
        with surrounded(run.config.storage.variables()), showing_progress(run.config.name):
            yield run
    finally:
        _active.reset(token)
