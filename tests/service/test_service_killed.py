"""kill -9 of a worker and of the supervisor, while clients ask, while an alias moves, while requests are captured."""

import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
import pytest
from commands import free_port, gone, wait_for
from handmade import ITEMS, Running, iris_store, serving
from load import loaded

from storage.registry import open_registry

BODIES = [{"input_data": [item]} for item in ITEMS[:8]]


def workers(service: Running) -> list[psutil.Process]:
    children = psutil.Process(service.process.pid).children()
    alive = [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    return [child for child in alive if "tasks.service.worker" in child.cmdline()]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Running]:
    store, _ = iris_store(tmp_path, versions=2)
    with serving(store, tmp_path, "--workers", "2") as running:
        yield running


def test_a_killed_worker_costs_only_what_it_had_in_hand_and_is_replaced(service: Running) -> None:
    before = {worker.pid for worker in workers(service)}
    with loaded(service.first_line["url"] + "/predict", BODIES, clients=8) as load:
        wait_for(lambda: load.statuses[200] > 50, "some answers")
        min(workers(service), key=lambda worker: worker.pid).kill()
        wait_for(lambda: len({worker.pid for worker in workers(service)} - before) == 1, "the new worker")
        wait_for(lambda: service.metric("millrace_workers_lost_total") == 1, "the count")
        answered = load.statuses[200]
        wait_for(lambda: load.statuses[200] > answered + 50, "more answers")
    assert set(load.statuses) <= {200, 0}
    assert load.statuses[0] <= 8  # each client waits for one answer at a time


def test_a_worker_killed_while_the_alias_moves_leaves_all_on_the_new_version(service: Running, tmp_path: Path) -> None:
    registry = open_registry(str(tmp_path / "store"))
    with loaded(service.first_line["url"] + "/predict", BODIES, clients=4) as load:
        for move in range(4):
            registry.promote("iris", 2 - move % 2)
            workers(service)[0].kill()
            wait_for(lambda wanted=2 - move % 2: load.answers and _latest(load.answers) == wanted, f"move {move}")
            wait_for(lambda lost=move + 1: service.metric("millrace_workers_lost_total") == lost, "the loss")
            wait_for(lambda: '"workers":2' in service.client.get("/status.json").text.replace(" ", ""), "two workers")
        seen: Counter[int] = Counter()
        while seen.total() < 50:  # connections of their own, so that both workers answer
            seen[_fresh(service)] += 1
    assert set(seen) == {1}
    assert set(load.statuses) <= {200, 0}


def _latest(answers: list) -> int | None:
    return next((one.body["version"] for one in reversed(answers[-5:]) if one.status == 200), None)


def _fresh(service: Running) -> int:
    return httpx.post(service.first_line["url"] + "/predict", json=BODIES[0], trust_env=False).json()["version"]


@pytest.mark.parametrize("options", [(), ("--capture", "1.0")])
def test_workers_end_with_a_killed_supervisor_and_the_next_service_starts_at_once(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    store, registry = iris_store(tmp_path, versions=2)
    port = str(free_port())
    with serving(store, tmp_path, "--port", port, "--workers", "2", *options) as service:
        with loaded(service.first_line["url"] + "/predict", BODIES, clients=4) as load:
            wait_for(lambda: load.statuses[200] > 20, "some answers")
            children = [worker.pid for worker in workers(service)]
            assert len(children) == 2
            registry.promote("iris", 2)  # it dies as it follows
            service.process.send_signal(signal.SIGKILL)
            service.process.wait()
        wait_for(lambda: all(gone(pid) for pid in children), "the workers' end")
        with serving(store, tmp_path, "--port", port, "--workers", "2", *options) as again:
            assert urlsplit(again.first_line["url"]).port == int(port)
            answer = again.client.post("/predict", json=BODIES[0]).json()
            assert (answer["prediction"], answer["version"]) == (["setosa"], 2)


def test_a_service_starts_on_the_port_before_the_orphans_of_the_last_are_gone(tmp_path: Path) -> None:
    store, _ = iris_store(tmp_path)
    port = str(free_port())
    with serving(store, tmp_path, "--port", port, "--workers", "2") as service:
        children = [worker.pid for worker in workers(service)]
        service.process.kill()
        service.process.wait()
        with serving(store, tmp_path, "--port", port, "--workers", "2") as again:
            assert again.client.post("/predict", json=BODIES[0]).status_code == 200
        wait_for(lambda: all(gone(pid) for pid in children), "the workers' end")


def test_a_worker_that_hangs_is_replaced(service: Running) -> None:
    hanging = workers(service)[0]
    hanging.suspend()
    wait_for(lambda: gone(hanging.pid), "its end")
    wait_for(lambda: len(workers(service)) == 2, "the new one")
    wait_for(lambda: service.metric("millrace_workers_lost_total") == 1, "the count")
