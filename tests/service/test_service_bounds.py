"""What a small request may cost: an answer is not larger than asked for, and what is remembered of it is bounded."""

import gzip
import json
import zlib
from pathlib import Path
from typing import Any

import httpx
import pytest
from handmade import ITEMS, iris_store
from inprocess import InThread, in_thread

from storage.errors import StorageUnavailable
from tasks.service.limits import Limits
from tasks.service.loading import Loaded, Loader

INPUT = {"name": "x", "shape": [2, 4], "datatype": "FP32", "data": [1.0] * 8}


@pytest.fixture
def loaded(tmp_path: Path) -> Loaded:
    store, registry = iris_store(tmp_path)
    return Loader(store, registry).load("iris", 1)


def post(running: InThread, path: str, body: Any, **headers: str) -> httpx.Response:
    address = f"http://{running.host}:{running.port}{path}"
    return httpx.post(address, content=json.dumps(body), headers=headers, trust_env=False)


def test_an_output_asked_for_twice_is_refused_and_each_once_is_answered(loaded: Loaded) -> None:
    names = ["probabilities", "prediction", "probabilities"]
    with in_thread(loaded, Limits()) as running:
        asked = [{"inputs": [INPUT], "outputs": [{"name": name} for name in some]} for some in (names, names[:2])]
        twice, once = (post(running, "/v2/models/iris/infer", one) for one in asked)
    assert twice.status_code == 422
    assert "3 of 2 names" in twice.json()["error"]
    assert [output["name"] for output in once.json()["outputs"]] == names[:2]


@pytest.mark.parametrize("found", ["9" * 5000, "0", "-1", "1.5", "1000000000", ""])
def test_a_deadline_that_is_no_number_of_milliseconds_is_refused(loaded: Loaded, found: str) -> None:
    with in_thread(loaded, Limits()) as running:
        answer = post(running, "/predict", {"input_data": ITEMS[:1]}, **{"X-Deadline-Ms": found})
    assert answer.status_code == 422
    assert "X-Deadline-Ms: found" in answer.text


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_bodies_are_inflated_and_counted_as_they_are_then(loaded: Loaded, encoding: str, pack: Any) -> None:
    headers = {"content-encoding": encoding}
    with in_thread(loaded, Limits(body_bytes=1000)) as running:
        address = f"http://{running.host}:{running.port}/predict"
        bodies = [pack(json.dumps({"input_data": items}).encode()) for items in (ITEMS[:1], ITEMS * 9)]
        sent = [bodies[0], bodies[1], bodies[0][:-5]]
        answers = [httpx.post(address, content=body, headers=headers, trust_env=False) for body in sent]
    assert [answer.status_code for answer in answers] == [200, 413, 400]


class Away:
    """A loader whose storage cannot be reached."""

    def load(self, name: str, number: int) -> Loaded:
        raise StorageUnavailable("s3://bucket: no answer in 5 s")


def test_a_model_that_cannot_be_loaded_again_now_is_asked_for_later(loaded: Loaded) -> None:
    away: Any = Away()
    with in_thread(loaded, Limits()) as running:
        running.service.models.loader = away
        running.service.models._served.clear()
        answer = post(running, "/predict", {"input_data": ITEMS[:1]})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert "bucket" not in answer.text
