"""One fixture for what must hold in every kind of store: a folder, S3's look-alike moto, and a real S3 server where there is one."""

import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from storage.objects import ObjectStore, open_store


@pytest.fixture(scope="session")
def moto_server() -> Iterator[str]:
    """The URL of a look-alike that is up for the session."""
    app = OneAtATime(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=MotoRequestHandler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()


class OneAtATime:
    """A WSGI application whose requests wait for one another: moto looks for an object and makes it in two steps, between which others come."""

    def __init__(self, app: Callable[..., Iterable[bytes]]) -> None:
        self._app, self._lock = app, threading.Lock()

    def __call__(self, environ: Any, start_response: Any) -> list[bytes]:
        with self._lock:
            return list(self._app(environ, start_response))


@pytest.fixture(params=["folder", "moto", "rgw"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    """A new store of each kind in turn, and an environment in which child processes reach it too."""
    monkeypatch.setenv("MILLRACE_ROOT", str(tmp_path / "root"))
    return open_store(str(tmp_path / "store")) if request.param == "folder" else _bucket(request, tmp_path, monkeypatch)


@pytest.fixture(params=["moto", "rgw"])
def s3_store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    """A new store in a bucket of each kind of server in turn."""
    monkeypatch.setenv("MILLRACE_ROOT", str(tmp_path / "root"))
    return _bucket(request, tmp_path, monkeypatch)


def _bucket(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    if request.param == "rgw":
        return open_store(f"s3://{request.getfixturevalue('real_s3').bucket}/x")
    for name, value in {
        "AWS_ACCESS_KEY_ID": "tester",
        "AWS_SECRET_ACCESS_KEY": "hushhush",
        "AWS_ENDPOINT_URL": request.getfixturevalue("moto_server"),
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    boto3.client("s3").create_bucket(Bucket="bucket")
    return open_store(f"s3://bucket/{tmp_path.name}")
