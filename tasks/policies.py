"""Prefect's view of our steps: cache keys that are ours, and retries by kind of failure.

`@step(name)` makes a Prefect task of a function from sections and refs to a ref. Our step records on the object store are the
truth; Prefect's own result record only mirrors them, so that a hit shows as its native `Cached` state. Prefect's key is
`<our key>-<attempt>`: where the latest record is no longer whole, the next attempt has no mirror and is computed.
"""

import functools
import inspect
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from prefect import Task, task
from prefect.cache_policies import CachePolicy
from prefect.client.schemas.objects import State, TaskRun
from prefect.logging import get_run_logger
from prefect.results import get_result_store
from prefect.tasks import exponential_backoff

from storage.errors import TransientError
from storage.fingerprints import fingerprint, libraries
from storage.keys import step_key
from storage.objects import ObjectStore, open_store
from storage.records import StepRecord, find_record, next_attempt, put_record
from storage.refs import Ref
from tasks.progress import current_run_id, reporter
from tasks.sections import Section

RETRIES = 3
NOT_IN_KEY = {"storage"}
Validity = Callable[[Mapping[str, Any]], bool]


@dataclass
class StepCache(CachePolicy):
    """The cache policy of one step. `valid` may refuse a hit that no longer holds (release: the alias has moved)."""

    step_name: str = ""
    module: str = ""
    valid: Validity | None = None

    def key(self, inputs: Mapping[str, Any]) -> str:
        """The step's key: its name, the code it reaches, its libraries, its sections' fields, its inputs' digests."""
        fields = {name: _identity(value) for name, value in inputs.items() if name not in NOT_IN_KEY}
        return step_key(self.step_name, fields, fingerprint(self.module), libraries(self.module))

    def compute_key(
        self, task_ctx: Any, inputs: dict[str, Any], flow_parameters: dict[str, Any], **kwargs: Any
    ) -> str | None:
        """Prefect's key for these inputs; as a side effect, a valid record of ours becomes Prefect's."""
        key, store = self.key(inputs), open_store(inputs["storage"])
        found = self.lookup(key, inputs)
        if found is None:
            return f"{key}-{next_attempt(store, key)}"
        attempt, record = found
        mirror = f"{key}-{attempt}"
        get_result_store().write(obj=record.output, key=mirror)
        return mirror

    def lookup(self, key: str, inputs: Mapping[str, Any]) -> tuple[int, StepRecord] | None:
        """The latest whole record for `key` and its attempt, or None where the step must run."""
        found = find_record(open_store(inputs["storage"]), key)
        return found if found and (self.valid is None or self.valid(inputs)) else None


def step(name: str, valid: Validity | None = None) -> Callable[[Callable[..., Ref]], Task[..., Any]]:
    """Make a cached, retried Prefect task of a function. Its parameters are sections, refs and plain values, and `storage`."""

    def decorate(function: Callable[..., Ref]) -> Task[..., Any]:
        cache = StepCache(step_name=name, module=function.__module__, valid=valid)
        signature = inspect.signature(function)

        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Ref:
            inputs = signature.bind(*args, **kwargs).arguments
            started = time.perf_counter()
            output = function(**inputs)
            seconds = time.perf_counter() - started
            _commit(open_store(inputs["storage"]), cache.key(inputs), name, output, seconds)
            return output

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


def _commit(store: ObjectStore, key: str, name: str, output: Ref, seconds: float) -> None:
    put_record(
        store,
        StepRecord(key=key, name=name, output=output, seconds=seconds, created=time.time(), run_id=current_run_id()),
    )


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
