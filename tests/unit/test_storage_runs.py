"""Run manifests: one JSON object a run, the latest first."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from storage.errors import ConfigError, CorruptArtifact, NotFound, SchemaError
from storage.objects import open_store
from storage.runs import list_runs, new_run_id, put_run, read_run


def test_a_run_is_read_as_it_was_put_and_may_be_put_again(tmp_path: Path):
    store, run_id = open_store(str(tmp_path)), new_run_id()
    put_run(store, run_id, {"state": "running"})
    put_run(store, run_id, {"state": "done", "steps": [{"name": "train", "seconds": 1.5}]})
    assert read_run(store, run_id) == {
        "run_id": run_id,
        "state": "done",
        "steps": [{"name": "train", "seconds": 1.5}],
    }


def test_runs_are_listed_the_latest_first(tmp_path: Path):
    store, start = open_store(str(tmp_path)), datetime(2026, 1, 31, 23, 59, tzinfo=UTC)
    ids = [new_run_id(start + timedelta(seconds=seconds)) for seconds in (0, 59, 61)]
    for run_id in (ids[1], ids[0], ids[2]):
        put_run(store, run_id, {})
    assert list_runs(store) == ids[::-1]


def test_an_id_tells_utc(tmp_path: Path):
    moment = datetime(2026, 2, 1, 1, 0, tzinfo=timezone(timedelta(hours=2)))
    assert new_run_id(moment).startswith("20260131-230000-")


def test_a_run_that_is_not_there_not_named_or_damaged_is_an_error(tmp_path: Path):
    store, run_id = open_store(str(tmp_path)), new_run_id()
    with pytest.raises(NotFound, match=run_id):
        read_run(store, run_id)
    with pytest.raises(ConfigError, match="wanted one like"):
        read_run(store, "../secrets")
    store.put(f"runs/{run_id}.json", b"{")
    with pytest.raises(CorruptArtifact, match=run_id):
        read_run(store, run_id)
    with pytest.raises(SchemaError, match="plain JSON"):
        put_run(store, run_id, {"value": float("nan")})
