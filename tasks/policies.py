"""Prefect's view of our steps: cache keys that are ours, and retries by kind of failure.

`@step(name)` makes a Prefect task of a function from sections and refs to a ref. Our step records on the object store are the
truth; Prefect's own result record only mirrors the one that was just found whole, so that a hit shows as its native `Cached`
state, and what Prefect remembers by itself never decides.
"""

import contextvars
import functools
import inspect
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from prefect import Task, task
from prefect.cache_policies import CachePolicy
from prefect.client.schemas.objects import State, TaskRun
from prefect.logging import get_run_logger
from prefect.results import get_result_store
from prefect.tasks import exponential_backoff

from storage.errors import ConfigError, TransientError
from storage.fingerprints import reach
from storage.keys import step_key
from storage.locks import hold
from storage.objects import open_store
from storage.records import StepRecord, find_record, put_record
from storage.refs import Ref
from tasks.progress import current_run_id, logging_to, reporter
from tasks.sections import Section

RETRIES = 3
NOT_IN_KEY = {"storage", "expected_version"}
Validity = Callable[[Mapping[str, Any]], bool]

_key_in_progress: contextvars.ContextVar[str] = contextvars.ContextVar("key_in_progress", default="")


@dataclass
class StepCache(CachePolicy):
    """The cache policy of one step. `valid` may refuse a hit that no longer holds (release: the alias has moved)."""

    step_name: str = ""
    function: str = ""  # "module:name"
    valid: Validity | None = None

    def key(self, inputs: Mapping[str, Any]) -> str:
        """The step's key: its name, the code it reaches, its libraries, its sections' fields, its inputs' digests."""
        fields = {name: _identity(value) for name, value in inputs.items() if name not in NOT_IN_KEY}
        code = reach(self.function)
        return step_key(self.step_name, fields, code.digest, code.libraries)

    def compute_key(
        self, task_ctx: Any, inputs: dict[str, Any], flow_parameters: dict[str, Any], **kwargs: Any
    ) -> str | None:
        """Prefect's key for these inputs; as a side effect, a valid record of ours becomes Prefect's.

        Where there is none the key is one that no result can have, whatever Prefect remembers of other stores.
        """
        key = self.key(inputs)
        record = self.lookup(key, inputs)
        mirror = f"{key}-{uuid.uuid4().hex}"
        if record is not None:
            get_result_store().write(obj=record.output, key=mirror)
        return mirror

    def lookup(self, key: str, inputs: Mapping[str, Any]) -> StepRecord | None:
        """The latest whole record for `key`, or None where the step must run."""
        found = find_record(open_store(inputs["storage"]), key)
        return found[1] if found and (self.valid is None or self.valid(inputs)) else None


def step(name: str, valid: Validity | None = None) -> Callable[[Callable[..., Ref]], Task[..., Any]]:
    """Make a cached, retried Prefect task of a function. Its parameters are sections, refs and plain values, and `storage`."""

    def decorate(function: Callable[..., Ref]) -> Task[..., Any]:
        cache = StepCache(step_name=name, function=f"{function.__module__}:{function.__name__}", valid=valid)
        signature = inspect.signature(function)

        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Ref:
            inputs = signature.bind(*args, **kwargs).arguments
            key = cache.key(inputs)
            report = reporter(name, get_run_logger())
            with hold(
                key, lambda: report({"event": "waiting for another run at this very step"})
            ):  # another run in this data root may be at the same step: then its result is ours
                record = cache.lookup(key, inputs)
                return record.output if record else _compute(cache, key, function, inputs)

        return task(
            name=name,
            cache_policy=cache,
            persist_result=True,
            result_serializer="json",
            retries=RETRIES,
            retry_delay_seconds=exponential_backoff(backoff_factor=1),
            retry_jitter_factor=0.5,
            retry_condition_fn=is_transient,
        )(run)

    return decorate


def is_transient(task: Any, _run: TaskRun, state: State) -> bool:
    """Whether the failure in `state` is worth another try: only our transient branch is."""
    failure = state.result(raise_on_failure=False)
    if not isinstance(failure, TransientError):
        return False
    reporter(task.name, get_run_logger())({"event": "failed for now", "reason": str(failure)})
    return True


def _compute(cache: StepCache, key: str, function: Callable[..., Ref], inputs: Mapping[str, Any]) -> Ref:
    """Run the step and commit its result under the key that it had at the start."""
    token, started = _key_in_progress.set(key), time.perf_counter()
    try:
        with logging_to(get_run_logger()):
            output = function(**inputs)
    finally:
        _key_in_progress.reset(token)
    seconds = time.perf_counter() - started
    if cache.key(inputs) != key:
        raise ConfigError(
            f"step {cache.step_name}: its code or libraries were changed while it ran; its result is not kept, run again"
        )
    record = StepRecord(
        key=key, name=cache.step_name, output=output, seconds=seconds, created=time.time(), run_id=current_run_id()
    )
    put_record(open_store(inputs["storage"]), record)
    return output


def key_in_progress() -> str:
    """The key of the step that this thread computes: a name for its work in progress."""
    return _key_in_progress.get()


def _identity(value: Any) -> Any:
    if isinstance(value, Section):
        return value.key_fields()
    if isinstance(value, Ref):
        return value.digest
    if isinstance(value, Mapping):
        return {name: _identity(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_identity(item) for item in value]
    return value
