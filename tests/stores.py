"""One fixture for what must hold in every kind of store: a folder, S3's look-alike moto, and a real S3 server where there is one."""

from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from storage.objects import ObjectStore, open_store


@pytest.fixture(scope="session")
def moto_server() -> Iterator[str]:
    """The URL of a look-alike that is up for the session."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


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
