"""The service follows its alias without dropping a request, and refuses what was tampered with."""

import json
import pickle
import shutil
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from commands import wait_for
from handmade import ITEMS, Running, golden_of, iris_files, iris_store, release, serving, write_files

from storage.manifests import read_manifest
from storage.objects import ObjectStore
from storage.registry import Registry
from storage.signing import Keyring
from tasks.inference.predictor import Predictor

CLIENTS, REQUESTS, MOVES = 16, 1000, 10


def version(service: Running) -> int:
    return service.client.get("/readyz").json()["version"]


def expect_refusal(service: Running, reason: str) -> None:
    """The service counts a refusal, logs its reason, and goes on with version 1."""
    wait_for(lambda: service.metric('millrace_swaps_total{model="iris",outcome="refused"}') == 1, "the refusal")
    assert reason in service.log.read_text()
    assert version(service) == 1
    assert service.client.post("/predict", json={"input_data": ITEMS[:1]}).json()["version"] == 1


def test_no_request_of_16_clients_fails_while_the_alias_moves_ten_times(tmp_path: Path) -> None:
    store, registry = iris_store(tmp_path, versions=2)
    moved = threading.Event()
    with serving(store, tmp_path) as service, ThreadPoolExecutor(CLIENTS) as pool:

        def ask(number: int) -> Counter[tuple[int, int]]:
            answers: Counter[tuple[int, int]] = Counter()
            with httpx.Client(base_url=service.first_line["url"], timeout=30, trust_env=False) as client:
                while not moved.is_set() or answers.total() < REQUESTS / CLIENTS:
                    response = client.post("/predict", json={"input_data": ITEMS[number : number + 3]})
                    answers[response.status_code, response.json()["version"]] += 1
            return answers

        clients = [pool.submit(ask, number) for number in range(CLIENTS)]
        try:
            for move in range(MOVES):
                registry.promote("iris", 2 - move % 2)
                wait_for(lambda wanted=2 - move % 2: version(service) == wanted, f"move {move}")
        finally:
            moved.set()
        answers = sum((client.result() for client in clients), Counter[tuple[int, int]]())
        assert service.metric('millrace_swaps_total{model="iris",outcome="done"}') == MOVES
    assert answers.total() >= REQUESTS
    assert set(answers) == {(200, 1), (200, 2)}


def test_a_flipped_byte_in_the_model_is_refused(tmp_path: Path) -> None:
    store, registry = iris_store(tmp_path, versions=2)
    manifest = read_manifest(store, registry.versions("iris")[1].release)
    path = store.local_path(manifest.files["model.onnx"].key)
    assert path is not None
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with serving(store, tmp_path) as service:
        registry.promote("iris", 2)
        expect_refusal(service, "SHA-256")


def test_an_entry_by_a_foreign_key_is_refused(tmp_path: Path) -> None:
    store, _ = iris_store(tmp_path, versions=2)
    ours, theirs = tmp_path / "store-keys", tmp_path / "foreign"
    (theirs / "trusted").mkdir(parents=True)
    shutil.copy(ours / "signing.pub", theirs / "trusted" / "ours.pub")
    with serving(store, tmp_path) as service:
        Registry(store, Keyring(theirs)).promote("iris", 2)
        expect_refusal(service, "not trusted here")


@pytest.mark.parametrize("content", [pickle.dumps({"weights": [1]}), pickle.dumps([1], protocol=0), b"PK\x03\x04" * 9])
def test_a_pickle_that_calls_itself_onnx_is_refused(tmp_path: Path, content: bytes) -> None:
    store, registry = iris_store(tmp_path)
    golden = golden_of(Predictor.load(write_files(iris_files(), tmp_path / "made")))
    release(
        store, registry, "iris", {**iris_files(), "model.onnx": content}, **{"golden.json": json.dumps(golden).encode()}
    )
    with serving(store, tmp_path) as service:
        registry.promote("iris", 2)
        expect_refusal(service, "wanted onnx")


def test_a_version_that_misses_its_golden_answers_is_refused(tmp_path: Path) -> None:
    store, registry = iris_store(tmp_path)
    golden = golden_of(Predictor.load(write_files(iris_files(), tmp_path / "made")))
    golden["outputs"].reverse()
    release(store, registry, "iris", iris_files(7.0), **{"golden.json": json.dumps(golden).encode()})
    with serving(store, tmp_path) as service:
        registry.promote("iris", 2)
        expect_refusal(service, "golden item")


def test_a_good_version_after_a_refused_one_is_served(tmp_path: Path) -> None:
    store, registry = iris_store(tmp_path, versions=3)
    damage(store, registry, 2)
    with serving(store, tmp_path) as service:
        registry.promote("iris", 2)
        expect_refusal(service, "found 1 bytes")
        registry.promote("iris", 3)
        wait_for(lambda: version(service) == 3, "version 3")


def test_a_damaged_version_that_is_repaired_is_served(tmp_path: Path) -> None:
    store, registry = iris_store(tmp_path, versions=2)
    path, content = damage(store, registry, 2)
    with serving(store, tmp_path) as service:
        registry.promote("iris", 2)
        expect_refusal(service, "found 1 bytes")
        path.write_bytes(content)
        wait_for(lambda: version(service) == 2, "version 2")


def test_a_pinned_version_stays(tmp_path: Path) -> None:
    store, registry = iris_store(tmp_path, versions=2)
    with serving(store, tmp_path, "--version", "2") as service:
        assert service.first_line["version"] == 2
        registry.promote("iris", 2)
        registry.promote("iris", 1)
        assert version(service) == 2


def damage(store: ObjectStore, registry: Registry, number: int) -> tuple[Path, bytes]:
    """Cut a version's model to one byte; its path and former content."""
    manifest = read_manifest(store, registry.versions("iris")[number - 1].release)
    path = store.local_path(manifest.files["model.onnx"].key)
    assert path is not None
    content = path.read_bytes()
    path.write_bytes(b"0")
    return path, content


def answered_by(service: Running) -> set[int]:
    answers = [service.client.post("/predict", json={"input_data": ITEMS[:1]}).json() for _ in range(50)]
    return {answer["version"] for answer in answers}


def test_a_service_starts_with_the_champion_alone_where_the_canary_is_damaged(tmp_path: Path) -> None:
    store, registry = iris_store(tmp_path, versions=2)
    registry.canary("iris", 2, 0.5)
    damage(store, registry, 2)
    with serving(store, tmp_path) as service:
        assert answered_by(service) == {1}
        expect_refusal(service, "expected")


def test_a_canary_that_could_not_be_loaded_answers_as_soon_as_it_can(tmp_path: Path) -> None:
    store, registry = iris_store(tmp_path, versions=2)
    path, whole = damage(store, registry, 2)
    with serving(store, tmp_path) as service:
        registry.canary("iris", 2, 0.5)
        expect_refusal(service, "expected")
        path.write_bytes(whole)
        wait_for(lambda: answered_by(service) == {1, 2}, "the canary")


def test_a_canary_answers_from_the_start_of_a_service_on(tmp_path: Path) -> None:
    store, registry = iris_store(tmp_path, versions=2)
    registry.canary("iris", 2, 0.5)
    with serving(store, tmp_path) as service:
        assert answered_by(service) == {1, 2}
