"""The workers of a service: one that ends by itself is replaced."""

from pathlib import Path

import psutil
from commands import gone, wait_for
from handmade import ITEMS, iris_store, serving

from storage.manifests import read_manifest


def test_a_worker_that_is_killed_is_replaced_and_the_new_one_answers(tmp_path: Path) -> None:
    store, _ = iris_store(tmp_path)
    with serving(store, tmp_path, "--workers", "1") as service:
        (first,) = psutil.Process(service.process.pid).children()
        first.kill()
        wait_for(lambda: gone(first.pid), "its end")
        assert service.client.post("/predict", json={"input_data": ITEMS[:1]}).status_code == 200
        assert service.metric("millrace_workers_lost_total") == 1


def test_while_no_new_worker_can_begin_the_others_go_on_serving(tmp_path: Path) -> None:
    store, registry = iris_store(tmp_path)
    manifest = read_manifest(store, registry.versions("iris")[0].release)
    model = store.local_path(manifest.files["model.onnx"].key)
    assert model is not None
    with serving(store, tmp_path, "--workers", "2") as service:
        whole = model.read_bytes()
        model.write_bytes(b"damaged")
        psutil.Process(service.process.pid).children()[0].kill()
        wait_for(lambda: service.log.read_text().count("cannot begin") == 3, "tries")
        assert service.client.post("/predict", json={"input_data": ITEMS[:1]}).status_code == 200
        model.write_bytes(whole)
        wait_for(lambda: service.client.get("/status.json").json()["workers"] == 2, "the other worker")
