"""One run: its configuration, its id, and the journal of its steps. A stage flow inside the pipeline shares the pipeline's run."""

import contextvars
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from prefect.states import State
from prefect.task_runners import ThreadPoolTaskRunner
from storage.objects import open_store
from storage.runs import new_run_id

from flows.settings import PipelineConfig, resolve
from flows.steps import Step
from storage.root import default_storage
from tasks.progress import reporter, set_run_id

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
        parameters = self._parameters(step, inputs)
        started = time.perf_counter()
        self._report(label or step.name, {"event": "started"})
        state = step.load()(**parameters, return_state=True)
        return self._enter(step, label or step.name, parameters, state, started)

    def each(self, step: Step, cases: Mapping[str, Mapping[str, Any]], parallel: int) -> dict[str, Any]:
        """Run a step once for each labelled set of inputs, `parallel` at a time; the refs by label."""
        started, task = time.perf_counter(), step.load()
        prepared = {label: self._parameters(step, inputs) for label, inputs in cases.items()}
        with ThreadPoolTaskRunner(max_workers=parallel) as runner:
            futures = {label: runner.submit(task, parameters) for label, parameters in prepared.items()}
            states = {label: _state(future) for label, future in futures.items()}
        return {
            label: self._enter(step, f"{step.name} {label}", prepared[label], state, started)
            for label, state in states.items()
        }

    def _parameters(self, step: Step, inputs: Mapping[str, Any]) -> dict[str, Any]:
        sections = {name: getattr(self.config, name) for name in step.sections}
        return {**sections, **inputs, "storage": self.storage}

    def _enter(self, step: Step, label: str, parameters: Mapping[str, Any], state: State, started: float) -> Any:
        output = state.result()
        cached = state.name == "Cached"
        key = step.load().cache_policy.key(parameters)
        entry = StepEntry(label, "cached" if cached else "computed", time.perf_counter() - started, key, output.digest)
        self.steps.append(entry)
        self._report(label, {"event": entry.state, "seconds": round(entry.seconds, 2)})
        return output

    def _report(self, stage: str, event: dict[str, Any]) -> None:
        from prefect.logging import get_run_logger

        reporter(stage, get_run_logger())(event)


def _state(future: Any) -> State:
    future.wait()
    return future.state


@contextmanager
def running(
    pipeline: str, preset: str | None, config: Mapping[str, Any] | None, overrides: Mapping[str, Any] | None
) -> Iterator[Run]:
    """The run that is going on, or a new one where a flow is started by itself."""
    active = _active.get()
    if active is not None:
        yield active
        return
    run = Run(pipeline, resolve(preset, config, overrides))
    set_run_id(run.run_id)
    token = _active.set(run)
    try:
        yield run
    finally:
        _active.reset(token)
