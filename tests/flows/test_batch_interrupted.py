"""A batch prediction that is killed or stopped in the middle goes on where it was, and its answers are those of one that nobody disturbed."""

import json
import os
import signal
import subprocess
import threading
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest
from batches import answers, command, files, predicted, rows_of, write_parquet
from commands import environment, wait_for
from handmade import iris_store

from flows.batch import predict_batch
from storage.leases import hold_lease
from storage.objects import open_store
from tasks.batch.laying import output_lease
from tasks.batch.on_cluster import predict_on_cluster
from tasks.progress import listen
from tasks.sections import BatchSection, ClusterSection

PARTS, ROWS = 400, 25
OPTIONS = ("--part-rows", str(ROWS), "--keep", "id")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a store, and so many rows in four files."""
    iris_store(tmp_path)
    for number in range(4):
        write_parquet(tmp_path / "rows" / f"{number}.parquet", rows_of(PARTS * ROWS // 4), row_group=ROWS)
    return tmp_path


def committed(place: Path) -> int:
    """The parts of this prediction whose results are committed."""
    folders = (place / "store" / "shards").glob("*")
    return max((sum(1 for _ in folder.glob("*.json")) for folder in folders), default=0)


def interrupted(place: Path, number: signal.Signals) -> tuple[int, list[psutil.Process]]:
    """The command's exit code after it was sent that signal in the middle, and all that it had started."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell starts in its background is deaf to Ctrl-C
    process = subprocess.Popen(
        command(place, *OPTIONS), cwd=place, env=environment(place / "root"), stderr=subprocess.DEVNULL
    )
    wait_for(lambda: committed(place) > 5, "some parts")
    started = psutil.Process(process.pid).children(recursive=True)
    os.kill(process.pid, number)
    code = process.wait(timeout=60)
    _, alive = psutil.wait_procs(started, timeout=30)
    return code, alive


@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)])
def test_nothing_is_repeated_and_the_files_are_the_same(number: signal.Signals, code: int, place: Path):
    assert interrupted(place, number) == (code, [])
    before = committed(place)
    assert 5 < before < PARTS
    assert not (place / "out").exists()
    summary = predicted(place, *OPTIONS)
    assert summary["parts_computed"] == PARTS - before
    assert summary["rows_in"] == len(answers(place)) == PARTS * ROWS
    (place / "store").rename(place / "used")
    iris_store(place)
    assert predicted(place, *OPTIONS, output="undisturbed")["parts_computed"] == PARTS
    assert files(place, "undisturbed") == files(place)


def test_another_machine_goes_on_by_the_store_alone(place: Path):
    interrupted(place, signal.SIGKILL)
    before = committed(place)
    (place / "root").rename(place / "gone")  # what is remembered beside the store
    assert predicted(place, *OPTIONS)["parts_computed"] == PARTS - before


def test_two_runs_of_one_order_at_once_do_each_part_once(place: Path):
    started = [
        subprocess.Popen(
            command(place, *OPTIONS, output=output), cwd=place, env=environment(place / "root"), stdout=subprocess.PIPE
        )
        for output in ("one", "other")
    ]
    told = [json.loads(process.communicate(timeout=120)[0]) for process in started]
    assert sorted(summary["parts_computed"] for summary in told) == [0, PARTS]
    assert files(place, "one") == files(place, "other")


def test_of_two_that_write_into_one_output_the_second_waits_for_the_first(place: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MILLRACE_ROOT", str(place / "root"))
    output, waits, told = str(place / "out"), threading.Event(), []
    batch = BatchSection(sources=(str(place / "rows"),), output=output)
    stop = listen(lambda event: waits.set() if event["stage"] == "write" and "event" in event else None)
    arguments = ("iris", "champion", batch, ClusterSection(), str(place / "store"), predict_on_cluster)
    second = threading.Thread(target=lambda: told.append(predict_batch(*arguments)))
    with hold_lease(open_store(str(place / "store")), output_lease(output), lambda: None):
        second.start()
        assert waits.wait(60)
        assert not (place / "out").exists()
    second.join()
    stop()
    assert pq.read_table(output).num_rows == told[0]["rows_out"]
