"""Slow bodies, slow models, and clients that go away."""

import contextlib
import json
import socket
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from commands import wait_for
from handmade import ITEMS, iris_store
from inprocess import in_thread

from tasks.inference.predictor import Predictor
from tasks.service.batcher import Cost
from tasks.service.limits import Limits
from tasks.service.loading import Loaded, Loader

BODY = json.dumps({"input_data": ITEMS[:1]}).encode()
HEAD = f"POST /predict HTTP/1.1\r\nHost: here\r\nContent-Length: {len(BODY)}\r\n\r\n".encode()


class Held:
    """A predictor that waits for `free` before each forward, and counts them."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor, self.transforms = predictor, predictor.transforms
        self.free, self.forwards = threading.Event(), 0

    def parse(self, items: Sequence[object]) -> dict[str, list[Any]]:
        return self._predictor.parse(items)

    def predict(self, columns: dict[str, list[Any]]) -> Any:
        self.forwards += 1
        self.free.wait(30)
        return self._predictor.predict(columns)


@pytest.fixture
def loaded(tmp_path: Path) -> Loaded:
    store, registry = iris_store(tmp_path)
    return Loader(store, registry).load("iris", 1)


@pytest.mark.parametrize(
    ("limits", "sent"), [(Limits(body_seconds=0.2), HEAD + BODY[:5]), (Limits(header_seconds=0.2), HEAD[:-9])]
)
def test_headers_or_a_body_that_do_not_come_are_given_up(loaded: Loaded, limits: Limits, sent: bytes) -> None:
    with in_thread(loaded, limits) as running, socket.create_connection((running.host, running.port), 30) as slow:
        slow.sendall(sent)
        answer = b"".join(iter(lambda: slow.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"not here in time" in answer


def test_a_byte_now_and_then_does_not_keep_a_connection(loaded: Loaded) -> None:
    with (
        in_thread(loaded, Limits(header_seconds=0.5)) as running,
        socket.create_connection((running.host, running.port), 30) as slow,
    ):
        slow.settimeout(0.1)
        answer = b""
        for number in range(300):
            with contextlib.suppress(TimeoutError):
                if answer := slow.recv(4096):
                    break
            slow.sendall(HEAD[number % 20 : number % 20 + 1].replace(b"\n", b"x"))
    assert answer.startswith(b"HTTP/1.1 408")


def test_an_idle_connection_is_closed_and_a_new_one_answered(loaded: Loaded) -> None:
    with in_thread(loaded, Limits(idle_seconds=0.2)) as running:
        with socket.create_connection((running.host, running.port), 30) as idle:
            assert idle.recv(10) == b""
        answer = httpx.post(f"http://{running.host}:{running.port}/predict", content=BODY, trust_env=False)
    assert answer.status_code == 200


def test_a_client_that_goes_away_is_not_computed_for(loaded: Loaded) -> None:
    runtime: Any = loaded.runtime
    held = Held(runtime)
    slow: Any = replace(loaded, runtime=held, cost=Cost(1.0, 0.0))
    with in_thread(slow, Limits(wait_seconds=1000)) as running:
        address = running.host, running.port
        first = socket.create_connection(address, 30)
        first.sendall(HEAD + BODY)
        wait_for(lambda: held.forwards == 1, "the first forward")
        with socket.create_connection(address, 30) as gone:
            gone.sendall(HEAD + BODY)
            wait_for(lambda: running.queued_rows == 1, "the second request")
        wait_for(lambda: 'http_response_status_code="499"' in running.metrics, "its end")
        held.free.set()
        assert first.recv(4096).startswith(b"HTTP/1.1 200")
        first.close()
        answer = httpx.post(f"http://{running.host}:{running.port}/predict", content=BODY, trust_env=False)
    assert answer.json()["prediction"] == ["setosa"]
    assert held.forwards == 2  # the first and the last
