"""Prefect's view of our steps: cache keys that are ours, and retries by kind of failure.

`@step(name)` makes a Prefect task of a function from sections and refs to a ref. Our step records on the object store are the
truth; Prefect's own result record only mirrors the one that was just found whole, so that a hit shows as its native `Cached`
state, and what Prefect remembers by itself never decides.
"""

import functools
import inspect
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from prefect import Task, task
from prefect.cache_policies import CachePolicy
from prefect.client.schemas.objects import State, TaskRun
from prefect.logging import get_run_logger
from prefect.results import get_result_store
from prefect.tasks import exponential_backoff

from storage.errors import TransientError
from storage.refs import Ref
from tasks.caching import StepCache, Validity
from tasks.progress import logging_to, reporter

RETRIES = 3
UNNAMED = StepCache("", "")  # what a policy has before it is given its step: Prefect wants a default for every field


@dataclass
class StepPolicy(CachePolicy):
    """The cache policy of one step: ours, as Prefect asks for it."""

    cache: StepCache = UNNAMED

    def compute_key(
        self, task_ctx: Any, inputs: dict[str, Any], flow_parameters: dict[str, Any], **kwargs: Any
    ) -> str | None:
        """Prefect's key for these inputs; as a side effect, a valid record of ours becomes Prefect's.

        Where there is none the key is one that no result can have, whatever Prefect remembers of other stores.
        """
        parts = self.cache.parts(inputs)
        record = self.cache.look_up(parts, inputs).record
        mirror = f"{parts.key}-{uuid.uuid4().hex}"
        if record is not None:
            get_result_store().write(obj=record.output, key=mirror)
        return mirror


def step(name: str, valid: Validity | None = None) -> Callable[[Callable[..., Ref]], Task[..., Any]]:
    """Make a cached, retried Prefect task of a function. Its parameters are sections, refs and plain values, and `storage`."""

    def decorate(function: Callable[..., Ref]) -> Task[..., Any]:
        cache = StepCache(name, f"{function.__module__}:{function.__qualname__}", valid)
        signature = inspect.signature(function)

        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Ref:
            with logging_to(get_run_logger()):
                waiting = functools.partial(reporter(name), {"event": "waiting for another run at this very step"})
                return cache.result(function, signature.bind(*args, **kwargs).arguments, waiting)

        return task(
            name=name,
            cache_policy=StepPolicy(cache=cache),
            persist_result=True,
            result_serializer="json",
            retries=RETRIES,
            retry_delay_seconds=exponential_backoff(backoff_factor=1),
            retry_jitter_factor=0.5,
            retry_condition_fn=is_transient,
        )(run)

    return decorate


def cache_of(task: Any) -> StepCache:
    """The cache of a task that `step` made."""
    return task.cache_policy.cache


def is_transient(task: Any, _run: TaskRun, state: State) -> bool:
    """Whether the failure in `state` is worth another try: only our transient branch is."""
    failure = state.result(raise_on_failure=False)
    if not isinstance(failure, TransientError):
        return False
    reporter(task.name, get_run_logger())({"event": "failed for now", "reason": str(failure)})
    return True
