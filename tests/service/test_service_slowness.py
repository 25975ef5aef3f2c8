"""Slow bodies, slow models, and clients that go away."""

import asyncio
import json
import socket
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from commands import wait_for
from handmade import ITEMS, iris_store

from tasks.inference.predictor import Predictor
from tasks.service.app import Service, make_app
from tasks.service.batcher import Cost
from tasks.service.limits import Limits
from tasks.service.metrics import Metrics
from tasks.service.models import Loaded, Models, Source

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


@contextmanager
def in_thread(loaded: Loaded, limits: Limits) -> Iterator[tuple[str, int, Metrics]]:
    """The service on a thread of this process: address, port, metrics."""
    metrics = Metrics()
    with ThreadPoolExecutor(1) as executor, socket.socket() as listener:
        models = Models("iris", limits, metrics, executor, with_keys=False)
        models.serve(loaded)
        app = make_app(Service(models, metrics, limits, None))
        server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_level="warning"))
        listener.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])))
        address = listener.getsockname()
        thread.start()
        try:
            wait_for(lambda: server.started, "the server")
            yield *address, metrics
        finally:
            server.should_exit = True
            thread.join(30)


@pytest.fixture
def loaded(tmp_path: Path) -> Loaded:
    store, registry = iris_store(tmp_path)
    source = Source(store, registry, "iris", "champion")
    return source.load(source.find())


def test_a_body_that_does_not_come_is_given_up(loaded: Loaded) -> None:
    with (
        in_thread(loaded, Limits(body_seconds=0.2)) as (host, port, _),
        socket.create_connection((host, port), 30) as slow,
    ):
        slow.sendall(HEAD + BODY[:5])
        answer = b"".join(iter(lambda: slow.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"not here after 0.2 s" in answer


def test_a_client_that_goes_away_is_not_computed_for(loaded: Loaded) -> None:
    held = Held(loaded.predictor)
    slow: Any = replace(loaded, predictor=held, cost=Cost(1.0, 0.0))
    with in_thread(slow, Limits()) as (host, port, metrics):
        first = socket.create_connection((host, port), 30)
        first.sendall(HEAD + BODY)
        wait_for(lambda: held.forwards == 1, "the first forward")
        with socket.create_connection((host, port), 30) as gone:
            gone.sendall(HEAD + BODY)
            wait_for(lambda: b"millrace_queue_rows 1.0" in metrics.text(), "the second request")
        wait_for(lambda: b'code="499"' in metrics.text(), "its end")
        held.free.set()
        assert first.recv(4096).startswith(b"HTTP/1.1 200")
        first.close()
        answer = httpx.post(f"http://{host}:{port}/predict", content=BODY, trust_env=False)
    assert answer.json()["prediction"] == ["setosa"]
    assert held.forwards == 2  # the first and the last
