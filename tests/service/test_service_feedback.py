"""Feedback meets the answer that it is about: request ids are the clients' own, and two of them may choose the same."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from handmade import CLASSES, ITEMS, Running, iris_store, serving
from inprocess import in_thread

from tasks.service import notes
from tasks.service.keys import create_key
from tasks.service.limits import Limits
from tasks.service.loading import Loader

BOTH = ["predict:iris", "feedback:iris"]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    path = tmp_path_factory.mktemp("keys") / "keys.json"
    scopes = {"ada": BOTH, "bob": BOTH, "office": ["feedback:iris"]}
    return {**{name: create_key(path, some) for name, some in scopes.items()}, "file": str(path)}


@pytest.fixture
def service(tmp_path: Path, keys: dict[str, str]) -> Iterator[Running]:
    store, _ = iris_store(tmp_path)
    with serving(store, tmp_path, "--keys", keys["file"], "--workers", "2") as running:
        yield running


def ask(service: Running, key: str, request_id: str, *items: object) -> None:
    headers = {"x-api-key": key, "x-request-id": request_id}
    answer = service.client.post("/predict", json={"input_data": items}, headers=headers)
    assert answer.headers["x-request-id"] == request_id


def tell(service: Running, key: str, request_id: str, *labels: str) -> httpx.Response:
    body = {"request_id": request_id, "labels": labels}
    return service.client.post("/feedback", json=body, headers={"x-api-key": key})


def test_nobody_takes_the_place_of_another_keys_answer(service: Running, keys: dict[str, str]) -> None:
    ask(service, keys["ada"], "17", ITEMS[0])
    ask(service, keys["bob"], "17", *ITEMS[:3])
    assert tell(service, keys["ada"], "17", "setosa").json() == {"model": "iris", "version": 1}
    assert tell(service, keys["bob"], "17", *["setosa"] * 3).json() == {"model": "iris", "version": 1}


def test_a_key_that_only_tells_is_understood_where_one_other_asked(service: Running, keys: dict[str, str]) -> None:
    ask(service, keys["ada"], "18", ITEMS[0])
    assert tell(service, keys["office"], "18", "setosa").json() == {"model": "iris", "version": 1}
    ask(service, keys["bob"], "18", ITEMS[0])
    refused = tell(service, keys["office"], "18", "setosa")
    assert refused.status_code == 409
    assert "requests of 2 keys" in refused.text


def test_what_is_told_again_is_no_more_evidence(tmp_path: Path) -> None:
    store, registry = iris_store(tmp_path)
    with in_thread(Loader(store, registry).load("iris", 1), Limits()) as running:
        with httpx.Client(base_url=f"http://{running.host}:{running.port}", trust_env=False) as client:
            client.post("/predict", json={"input_data": ITEMS[:1]}, headers={"x-request-id": "1"})
            codes = {
                client.post("/feedback", json={"request_id": "1", "labels": ["setosa"]}).status_code for _ in "123"
            }
        found = running.service.tally.numbers["millrace_feedback", "iris", "1", "right"]
    assert (codes, found) == ({200}, 1)


def test_answers_are_remembered_up_to_a_number_of_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notes, "RECENT_ROWS", 250)
    store, registry = iris_store(tmp_path)
    with in_thread(Loader(store, registry).load("iris", 1), Limits()) as running:
        with httpx.Client(base_url=f"http://{running.host}:{running.port}", trust_env=False) as client:
            for name in "aabcb":
                client.post("/predict", json={"input_data": ITEMS[:100]}, headers={"x-request-id": name})
        recent = running.service.notes.recent
    assert {name: [len(known.predictions) for known in answers.values()] for name, answers in recent.items()} == {
        "c": [100],
        "b": [100],
    }
    assert set(recent["b"][""].predictions) <= set(CLASSES)
