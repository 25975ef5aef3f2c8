"""The workers of a service: one that ends by itself is replaced."""

from pathlib import Path

import psutil
from commands import gone, wait_for
from handmade import ITEMS, iris_store, serving


def test_a_worker_that_is_killed_is_replaced_and_the_new_one_answers(tmp_path: Path) -> None:
    store, _ = iris_store(tmp_path)
    with serving(store, tmp_path, "--workers", "1") as service:
        (first,) = psutil.Process(service.process.pid).children()
        first.kill()
        wait_for(lambda: gone(first.pid), "its end")
        assert service.client.post("/predict", json={"input_data": ITEMS[:1]}).status_code == 200
        assert service.metric("millrace_workers_lost_total") == 1
