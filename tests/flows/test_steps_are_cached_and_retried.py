"""Steps against a real Prefect server: what is cached, what is computed again, what is tried again."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from prefect import Task, flow
from prefect.client.schemas.objects import State
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_HOME,
    PREFECT_LOCAL_STORAGE_PATH,
    PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW,
    temporary_settings,
)

from storage.errors import SchemaError, StorageUnavailable
from storage.manifests import put_files, read_manifest
from storage.objects import open_store
from storage.records import attempts
from storage.refs import ModelRef
from tasks.policies import RETRIES, step

Allowed = Callable[[Mapping[str, Any]], bool]


class Outside:
    """What lies outside a step: how often its work was done, the failures still to come, whether hits are believed."""

    def __init__(self) -> None:
        self.calls = 0
        self.failures: list[Exception] = []
        self.believed = True


outside = Outside()


def _write(value: int, storage: str) -> ModelRef:
    outside.calls += 1
    if outside.failures:
        raise outside.failures.pop(0)
    return ModelRef(storage, put_files(open_store(storage), "model", {"answer.txt": b"answer %d" % value}, {}))


@step("tiny")
def tiny(value: int, storage: str) -> ModelRef:
    """A file that holds the value."""
    return _write(value, storage)


@step("doubted", valid=lambda inputs: outside.believed)
def doubted(value: int, storage: str) -> ModelRef:
    """The same, but a hit may be refused."""
    return _write(value, storage)


@pytest.fixture(scope="module", autouse=True)
def prefect_here(prefect_api: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """This process speaks to the session's Prefect server, and keeps Prefect's things in a folder of its own."""
    home = tmp_path_factory.mktemp("prefect-client")
    settings = {
        PREFECT_API_URL: prefect_api,
        PREFECT_HOME: home,
        PREFECT_LOCAL_STORAGE_PATH: home / "storage",
        PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW: "ignore",
    }
    with temporary_settings(settings):
        yield


@pytest.fixture(autouse=True)
def fresh() -> None:
    outside.__init__()


@pytest.fixture
def storage(tmp_path: Path) -> str:
    return open_store(str(tmp_path / "store")).url


def run(task: Task, **inputs: Any) -> State:
    """The last state of the step, run in a flow as it is in the product; no waiting between tries."""

    @flow(name="one-step")
    def one_step() -> State:
        return task.with_options(retry_delay_seconds=0)(**inputs, return_state=True)

    state = one_step(return_state=True)
    return state.data if isinstance(state.data, State) else state


def key_of(task: Task, **inputs: Any) -> str:
    return task.cache_policy.key(inputs)  # pyright: ignore[reportAttributeAccessIssue]


def blob_of(ref: ModelRef) -> Path:
    store = open_store(ref.uri)
    path = store.local_path(read_manifest(store, ref.digest).files["answer.txt"].key)
    assert path is not None
    return path


def test_the_second_call_is_cached_and_gives_the_same_ref(storage: str):
    first, second = run(tiny, value=1, storage=storage), run(tiny, value=1, storage=storage)
    assert (first.name, second.name) == ("Completed", "Cached")
    assert second.result() == first.result()
    assert outside.calls == 1
    assert attempts(open_store(storage), key_of(tiny, value=1, storage=storage)) == [1]
