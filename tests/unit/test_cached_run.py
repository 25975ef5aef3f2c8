"""A run that may find everything, beside a collection of garbage."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from commands import wait_for

from flows.cached_run import found_whole
from flows.settings import resolve
from storage.leases import SWEEP, hold_lease, live_runs
from storage.objects import open_store


def test_it_says_that_it_is_there_before_it_looks_and_waits_for_the_end_of_a_collection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """So nothing that it found whole goes before it says that it finished."""
    monkeypatch.setenv("MILLRACE_ROOT", str(tmp_path / "root"))
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    store = open_store(str(tmp_path / "store"))
    config = resolve("breast_cancer", None, {"storage.url": store.url})
    with ThreadPoolExecutor() as pool:
        with hold_lease(store, SWEEP, lambda: None):
            looking = pool.submit(found_whole, config)
            wait_for(lambda: looking.done() or live_runs(store), "the announcement or the end")
            assert not looking.done()
        assert looking.result(60) is None
    assert not live_runs(store)
