"""Why a step must run: what is read of earlier runs, and what is said where they are damaged."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from flows.reasons import History
from storage.blobs import check_digest
from storage.objects import ObjectStore, open_store
from storage.runs import new_run_id, put_run

THREADS = 8


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    monkeypatch.setenv("MILLRACE_ROOT", str(tmp_path / "root"))
    return open_store(str(tmp_path / "store"))


def ran(store: ObjectStore, *steps: str) -> str:
    """A run in the store that had these steps; its id."""
    run_id = new_run_id()
    made = [{"name": name, "output": "a" * 64, "key": "b" * 64} for name in steps]
    put_run(store, run_id, {"pipeline": "p", "steps": made})
    return run_id


def test_steps_side_by_side_ask_for_their_history_at_once(store: ObjectStore):
    for number in range(20):
        ran(store, f"step {number}")
    for _ in range(20):
        history, together = History(store, "p"), Barrier(THREADS)

        def ask(number: int, history: History = history, together: Barrier = together) -> object:
            together.wait()
            return history.entry(f"step {number}")

        with ThreadPoolExecutor(THREADS) as pool:
            assert all(pool.map(ask, range(THREADS)))


def test_an_earlier_run_with_any_bit_flipped_is_read_or_passed_over(store: ObjectStore):
    ran(store, "one")
    run = Path(store.url) / "runs" / f"{ran(store, 'one', 'two')}.json"
    content = run.read_bytes()
    for at in range(len(content)):
        run.write_bytes(content[:at] + bytes([content[at] ^ 1 << at % 8]) + content[at + 1 :])
        found = History(store, "p").entry("one")
        assert found is not None
        assert check_digest(found["key"])


def test_a_step_that_failed_tells_nothing(store: ObjectStore):
    ran(store, "one")
    put_run(store, new_run_id(), {"pipeline": "p", "steps": [{"name": "one", "output": "", "key": "c" * 64}]})
    found = History(store, "p").entry("one")
    assert found
    assert found["key"] == "b" * 64
