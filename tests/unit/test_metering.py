"""What a step costs: counted wherever the work is done, never for another step, and never a zero for what nobody measured."""

import gzip
import json
import sys
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from commands import ROOT

from infra.clusters import open_cluster
from infra.launcher import beside, launch
from storage.manifests import fetch_files, put_files, read_manifest
from storage.memory import held_bytes
from storage.metering import FIGURES, Cost, carried, charge, hold_gpu, metered
from storage.objects import open_store
from storage.refs import ModelRef
from tasks.caching import StepCache
from tasks.frames.gathering import spread
from tasks.frames.streams import Entry, open_entry
from tasks.sections import ClusterSection

MB = 1_000_000
BURN = "import time\nwhile time.process_time() < 0.5: pass\n"
BURN_IN_A_GRANDCHILD = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BURN!r}])"
MEASURED_JOB = "import sys, tasks.jobs; sys.exit(tasks.jobs.run(lambda job: bytearray(b'1' * job['bytes']) and None, [sys.argv[1]]))"
GPU_JOB = "import sys, tasks.jobs, storage.metering; sys.exit(tasks.jobs.run(lambda job: storage.metering.hold_gpu(), [sys.argv[1]]))"


@pytest.fixture(autouse=True)
def own_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_ROOT", str(tmp_path / "root"))


def cost_of(work: Callable[[], Any]) -> Cost:
    with metered() as meter:
        work()
    return meter.cost()


def child(code: str, folder: Path, **job: Any) -> Callable[[], None]:
    """Starts `code` as the launcher does; its first argument is a file with `job`."""
    (folder / "job.json").write_text(json.dumps(job))
    argv = [sys.executable, "-c", code, str(folder / "job.json")]
    return lambda: launch(argv, on_line=lambda line: None, log=folder / "log", env={"PYTHONPATH": str(ROOT)})


def burn(seconds: float = 0.5) -> None:
    import time

    start = time.thread_time()
    while time.thread_time() - start < seconds:
        pass


def together(*works: Callable[[], Any]) -> list[Cost]:
    """The costs of works that are all begun before any goes on, each in a thread of its own."""
    met, costs = threading.Barrier(len(works), timeout=60), dict[int, Cost]()

    def one(index: int) -> None:
        with metered() as meter:
            met.wait()
            works[index]()
            met.wait()
        costs[index] = meter.cost()

    threads = [threading.Thread(target=one, args=(index,)) for index in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [costs[index] for index in range(len(works))]


def number(cost: Cost, name: str) -> float:
    value = cost[name]
    assert value is not None, name
    return value


def test_a_cost_has_all_figures_and_none_for_what_was_not_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    cost = cost_of(lambda: None)
    assert tuple(cost) == FIGURES
    assert cost["gpu_seconds"] is None
    monkeypatch.setattr("storage.memory._STATUS", tmp_path / "a system without this file")
    assert cost_of(lambda: None)["peak_memory_bytes"] is None


def test_the_processor_time_of_a_child_and_of_what_it_waited_for_counts(tmp_path: Path):
    assert number(cost_of(child(BURN, tmp_path)), "cpu_seconds") > 0.5
    assert number(cost_of(child(BURN_IN_A_GRANDCHILD, tmp_path)), "cpu_seconds") > 0.5


def test_a_child_beside_us_counts_too(tmp_path: Path):
    code = BURN + "import os, signal, sys; print('{}', flush=True); sys.stdin.readline(); sys.stdin.read()"

    def work() -> None:
        with beside([sys.executable, "-c", code], {}, log=tmp_path / "log") as answer:
            answer()

    assert number(cost_of(work), "cpu_seconds") > 0.5


def test_a_failed_child_is_counted_as_well(tmp_path: Path):
    def work() -> None:
        with pytest.raises(Exception, match="ended with code 3"):
            child(BURN + "raise SystemExit(3)", tmp_path)()

    assert number(cost_of(work), "cpu_seconds") > 0.5


def test_steps_side_by_side_do_not_count_each_others_work(tmp_path: Path):
    for name in "ab":
        (tmp_path / name).mkdir()
    children = together(child(BURN, tmp_path / "a"), child("pass", tmp_path / "b"))
    threads = together(burn, lambda: None)
    for busy, idle in (children, threads):
        assert number(busy, "cpu_seconds") > 0.5 > number(idle, "cpu_seconds")


def test_work_that_is_handed_to_other_threads_counts_for_the_step_that_handed_it_out():
    def work() -> None:
        helper = threading.Thread(target=carried(lambda _: (burn(), charge({"bytes_in": 7}))), args=(None,))
        helper.start()
        helper.join()

    alone = cost_of(work)
    busy, idle = together(work, lambda: None)
    assert alone["bytes_in"] == busy["bytes_in"] == 7
    assert idle["bytes_in"] == 0
    assert min(number(alone, "cpu_seconds"), number(busy, "cpu_seconds")) > 0.5 > number(idle, "cpu_seconds")


def test_the_memory_of_a_child_is_its_own_and_not_its_parents(tmp_path: Path):
    """Linux hands a parent's peak on to a child: by its `ru_maxrss` a small child of a parent that was large looks large."""
    before = held_bytes()[0] or 0
    bytearray(b"1" * (150 * MB)).clear()
    assert (held_bytes()[1] or 0) > before + 150 * MB
    assert number(cost_of(child("pass", tmp_path)), "peak_memory_bytes") < before + 100 * MB
    large = int((before + 150 * MB) / 2)
    assert number(cost_of(child(MEASURED_JOB, tmp_path, bytes=large)), "peak_memory_bytes") > 2 * large


def test_memory_that_was_held_only_for_a_moment_counts(tmp_path: Path):
    """In a fresh process, whose peak is not that of other tests."""
    code = "with metered() as meter: bytearray(b'1' * 100_000_000).clear()\nprint(json.dumps(meter.cost()))"
    seen: list[Cost] = []
    argv = [sys.executable, "-c", f"import json; from storage.metering import metered\n{code}"]
    launch(argv, on_line=seen.append, log=tmp_path / "log", env={"PYTHONPATH": str(ROOT)})
    assert 200 * MB < number(seen[0], "peak_memory_bytes") < 300 * MB


def test_a_gpu_is_counted_from_when_it_is_held_also_by_a_child(tmp_path: Path):
    assert number(cost_of(hold_gpu), "gpu_seconds") > 0
    assert number(cost_of(child(GPU_JOB, tmp_path)), "gpu_seconds") > 0
    assert cost_of(child(MEASURED_JOB, tmp_path, bytes=1))["gpu_seconds"] is None


def test_bytes_are_those_that_went_through_the_store_by_whichever_thread(tmp_path: Path):
    for url in (str(tmp_path / "store"), "memory://metered"):
        store = open_store(url)
        files = {f"{index}.bin": bytes([index]) * 1000 for index in range(20)}
        with metered() as writing:
            digest = put_files(store, "features", files, {})
        manifest = read_manifest(store, digest)
        with metered() as reading:
            fetch_files(store, manifest)
        with metered() as again:
            fetch_files(store, manifest)
        assert number(writing.cost(), "bytes_out") == 20_000 + (store.size(f"manifests/{digest}.json") or 0)
        assert (writing.cost()["bytes_in"], reading.cost()["bytes_out"]) == (0, 0)
        assert reading.cost()["bytes_in"] == again.cost()["bytes_in"] == 20_000, url


def test_what_dask_workers_use_counts_for_the_step_that_asked_them(tmp_path: Path):
    def work() -> None:
        with open_cluster(ClusterSection(workers=2)) as client:
            sums = dict(spread(client, "sum", lambda batch: [sum(range(n)) for n in batch], [[20_000_000]] * 2))
            assert sums == {0: [199999990000000], 1: [199999990000000]}

    with metered() as alone:
        sum(range(20_000_000))
    cost = cost_of(work)
    assert number(cost, "cpu_seconds") > number(alone.cost(), "cpu_seconds")
    assert number(cost, "peak_memory_bytes") > 50 * MB


def test_of_sources_the_bytes_count_that_were_read_as_they_lie_there(tmp_path: Path):
    text = b"a,b\n1,2\n" * 100_000
    (tmp_path / "rows.csv").write_bytes(text)
    (tmp_path / "rows.csv.gz").write_bytes(gzip.compress(text))
    with zipfile.ZipFile(tmp_path / "rows.zip", "w") as archive:
        archive.writestr("rows.csv", text)
    for name, member in (("rows.csv", ""), ("rows.csv.gz", ""), ("rows.zip", "rows.csv")):
        path = tmp_path / name
        with metered() as meter, open_entry(Entry(str(path), member, name)) as stream:
            assert stream.read() == text
        assert 0.9 < number(meter.cost(), "bytes_in") / path.stat().st_size < 1.1, name
    with metered() as meter, open_entry(Entry(str(tmp_path / "rows.csv"), "", "rows.csv")) as stream:
        stream.seek(800_000)
        stream.read(10)
    assert number(meter.cost(), "bytes_in") < 100_000


def test_without_a_meter_nothing_is_counted_and_nothing_fails():
    charge({"bytes_in": 5})
    hold_gpu()
    assert carried(len) is len


def test_a_steps_record_keeps_what_the_step_cost(tmp_path: Path):
    """Whoever finds the record later knows what its hit has saved."""
    storage = open_store(str(tmp_path / "store")).url

    def made(value: int, storage: str) -> ModelRef:
        burn()
        return ModelRef(storage, put_files(open_store(storage), "model", {"answer": b"%d" % value}, {}))

    cache, inputs = StepCache("made", "tasks.jobs:emit"), {"value": 7, "storage": storage}
    cache.result(made, inputs, waiting=lambda: None)
    record = cache.look_up(cache.parts(inputs), inputs).record
    assert record is not None
    assert tuple(record.cost) == tuple(sorted(FIGURES))
    assert number(dict(record.cost), "cpu_seconds") > 0.5
    assert number(dict(record.cost), "bytes_out") > 0
