"""Steps against a real Prefect server: what is cached, what is computed again, what is tried again."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from prefect import Task, flow
from prefect.client.schemas.objects import State
from prefect_server import speaking_to

from storage.errors import SchemaError, StorageUnavailable
from storage.manifests import put_files, read_manifest
from storage.objects import open_store
from storage.records import attempts
from storage.refs import ModelRef
from tasks.policies import RETRIES, cache_of, step

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


@step("doubted", valid=lambda inputs: "" if outside.believed else "it is doubted")
def doubted(value: int, storage: str) -> ModelRef:
    """The same, but a hit may be refused."""
    return _write(value, storage)


@pytest.fixture(autouse=True)
def prefect_here(prefect_api: str, tmp_path: Path) -> Iterator[None]:
    """This process speaks to the session's Prefect server, and keeps Prefect's things in the test's folder."""
    outside.__init__()
    with speaking_to(prefect_api, tmp_path / "prefect"):
        yield


@pytest.fixture
def storage(tmp_path: Path) -> str:
    return open_store(str(tmp_path / "store")).url


def run(task: Task, **inputs: Any) -> State:
    """The last state of the step, run in a flow as it is in the product; no waiting between tries."""
    states: list[State] = []

    @flow(name="one-step")
    def one_step() -> None:
        states.append(task.with_options(retry_delay_seconds=0)(**inputs, return_state=True))

    one_step()
    return states[0]


def key_of(task: Task, **inputs: Any) -> str:
    return cache_of(task).parts(inputs).key


def blob_of(ref: ModelRef) -> Path:
    store = open_store(ref.uri)
    path = store.local_path(read_manifest(store, ref.digest).files["answer.txt"].key)
    assert path is not None
    return path


def test_the_second_call_is_cached_and_gives_the_same_ref(storage: str):
    first, second = run(tiny, value=1, storage=storage), run(tiny, value=1, storage=storage)
    assert (first.name, second.name) == ("Completed", "Cached")
    assert second.result() == first.result() == ModelRef(storage, first.result().digest)
    assert outside.calls == 1
    assert attempts(open_store(storage), key_of(tiny, value=1, storage=storage)) == [1]


def test_another_value_is_computed(storage: str):
    one, two = run(tiny, value=1, storage=storage), run(tiny, value=2, storage=storage)
    assert (one.name, two.name) == ("Completed", "Completed")
    assert one.result() != two.result()
    assert outside.calls == 2


def test_a_step_of_another_name_is_computed(storage: str):
    run(tiny, value=1, storage=storage)
    assert run(doubted, value=1, storage=storage).name == "Completed"
    assert outside.calls == 2


def test_a_truncated_blob_is_recomputed_and_then_cached_again(storage: str):
    ref = run(tiny, value=1, storage=storage).result()
    content = blob_of(ref).read_bytes()
    blob_of(ref).write_bytes(content[:3])
    assert [run(tiny, value=1, storage=storage).name for _ in range(2)] == ["Completed", "Cached"]
    assert blob_of(ref).read_bytes() == content
    assert outside.calls == 2
    assert attempts(open_store(storage), key_of(tiny, value=1, storage=storage)) == [1, 2]


def test_a_lost_blob_is_recomputed_and_then_cached_again(storage: str):
    ref = run(tiny, value=1, storage=storage).result()
    blob_of(ref).unlink()
    assert [run(tiny, value=1, storage=storage).name for _ in range(2)] == ["Completed", "Cached"]
    assert blob_of(ref).read_bytes() == b"answer 1"


def test_a_damaged_manifest_is_recomputed_and_then_cached_again(storage: str):
    ref = run(tiny, value=1, storage=storage).result()
    manifest = Path(storage) / "manifests" / f"{ref.digest}.json"
    manifest.write_bytes(manifest.read_bytes()[:-5])
    assert [run(tiny, value=1, storage=storage).name for _ in range(2)] == ["Completed", "Cached"]
    assert outside.calls == 2


def test_a_store_that_was_emptied_is_filled_again(storage: str):
    """Prefect still remembers the result; only our record counts."""
    run(tiny, value=1, storage=storage)
    for path in sorted(Path(storage).rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    again = run(tiny, value=1, storage=storage)
    assert again.name == "Completed"
    assert blob_of(again.result()).read_bytes() == b"answer 1"


def test_a_second_store_computes_again_under_the_same_key(storage: str, tmp_path: Path):
    other = open_store(str(tmp_path / "other")).url
    assert key_of(tiny, value=1, storage=storage) == key_of(tiny, value=1, storage=other)
    first, second = run(tiny, value=1, storage=storage), run(tiny, value=1, storage=other)
    assert (first.name, second.name) == ("Completed", "Completed")
    assert second.result() == ModelRef(other, first.result().digest)
    assert outside.calls == 2
    assert blob_of(second.result()).is_relative_to(other)


def test_each_of_two_stores_is_answered_from_itself(storage: str, tmp_path: Path):
    other = open_store(str(tmp_path / "other")).url
    for url in (storage, other):
        run(tiny, value=1, storage=url)
    for url in (storage, other, storage):
        again = run(tiny, value=1, storage=url)
        assert (again.name, again.result().uri) == ("Cached", url)


def test_a_ref_in_another_store_with_the_same_digest_gives_the_same_key(storage: str):
    here, there = ModelRef("/here", "a" * 64), ModelRef("s3://there", "a" * 64)
    assert key_of(tiny, value=here, storage=storage) == key_of(tiny, value=there, storage=storage)
    assert key_of(tiny, value=here, storage=storage) != key_of(tiny, value=ModelRef("", "b" * 64), storage=storage)


def test_a_refused_hit_is_computed_anew_and_believed_again_afterwards(storage: str):
    names = []
    for believed in (True, True, False, True):
        outside.believed = believed
        names.append(run(doubted, value=1, storage=storage).name)
    assert names == ["Completed", "Cached", "Completed", "Cached"]
    assert outside.calls == 2


def test_a_transient_failure_is_tried_again_until_it_succeeds(storage: str):
    outside.failures = [StorageUnavailable("503"), StorageUnavailable("503 again")]
    assert run(tiny, value=1, storage=storage).name == "Completed"
    assert outside.calls == 3
    assert attempts(open_store(storage), key_of(tiny, value=1, storage=storage)) == [1]
    assert run(tiny, value=1, storage=storage).name == "Cached"


def test_a_transient_failure_that_stays_fails_after_the_last_try(storage: str):
    outside.failures = [StorageUnavailable(f"503, try {number}") for number in range(9)]
    state = run(tiny, value=1, storage=storage)
    assert state.is_failed()
    assert isinstance(state.result(raise_on_failure=False), StorageUnavailable)
    assert outside.calls == 1 + RETRIES
    assert attempts(open_store(storage), key_of(tiny, value=1, storage=storage)) == []


@pytest.mark.parametrize("failure", [SchemaError("no such column"), ValueError("a mistake in the code")])
def test_a_permanent_failure_is_not_tried_again(failure: Exception, storage: str):
    outside.failures = [failure]
    state = run(tiny, value=1, storage=storage)
    assert state.is_failed()
    assert type(state.result(raise_on_failure=False)) is type(failure)
    assert outside.calls == 1


def test_a_step_that_failed_is_computed_the_next_time(storage: str):
    outside.failures = [SchemaError("no such column")]
    assert run(tiny, value=1, storage=storage).is_failed()
    assert run(tiny, value=1, storage=storage).name == "Completed"


def test_between_tries_a_step_waits_longer_each_time():
    assert tiny.retries == RETRIES
    delays = tiny.retry_delay_seconds
    assert isinstance(delays, list)
    assert len(delays) == RETRIES
    assert delays == sorted(set(delays))
    assert tiny.retry_jitter_factor
