"""The object store behind TLS: what signs the server's certificate is told, and nothing else is trusted."""

import os
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from certificates import make_certificates
from fault_proxy import FaultProxy, fault_proxy
from moto.server import ThreadedMotoServer

from storage.errors import ConfigError
from storage.objects import open_store
from storage.surroundings import surrounded, variables
from tasks.frames import filesystems
from tasks.frames.sources import find_groups
from tasks.sections import DataSection, StorageSection

URL = "s3://bucket/x"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory):
    return make_certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def tls_server(certificates) -> Iterator[FaultProxy]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    plain = f"http://{host}:{port}"
    boto3.client("s3", endpoint_url=plain, aws_access_key_id="a", aws_secret_access_key="b", region_name="us-east-1"
    ).create_bucket(Bucket="bucket")  # fmt: skip
    with fault_proxy(plain, tls=certificates[1]) as proxy:
        yield proxy
    server.stop()


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "us-east-1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MILLRACE_ROOT", str(tmp_path))


def test_with_its_authority_named_the_store_and_its_sources_are_reached(certificates, tls_server: FaultProxy):
    section = StorageSection(url=URL, endpoint=tls_server.url, ca_file=str(certificates[0]), region="us-east-1")
    with surrounded(section.variables()):
        open_store(URL).put("in/a.csv", b"a\n1\n")
        found = find_groups(DataSection.model_validate({"sources": [{"url": f"{URL}/in/*.csv"}], "kind": "table"}))
    assert [entry.name for group in found for entry in group.entries] == ["a.csv"]


def test_a_server_that_nobody_vouches_for_is_not_asked(tls_server: FaultProxy, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(filesystems, "BOTOCORE_TRIES", 1)
    monkeypatch.setattr(filesystems, "S3_TRIES", 1)
    asked = len(tls_server.seen)
    with surrounded(variables(URL, endpoint=tls_server.url)):
        with pytest.raises(ConfigError, match=r"not trusted \(UnknownIssuer\); name a PEM file .*storage\.ca_file"):
            open_store(URL)
        with pytest.raises(ConfigError, match=r"not trusted .*storage\.ca_file"):
            find_groups(DataSection.model_validate({"sources": [{"url": "s3://bucket/in/*.csv"}], "kind": "table"}))
    assert len(tls_server.seen) == asked


def test_an_endpoint_must_say_whether_it_speaks_tls():
    with pytest.raises(ValueError, match="endpoint"):
        StorageSection(url=URL, endpoint="127.0.0.1:9000")


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_file_of_authorities_that_is_none_is_named(content: str | None, tmp_path: Path):
    file = tmp_path / "ca.pem"
    if content:
        file.write_text(content)
    told = variables(URL, endpoint="https://127.0.0.1:9", ca_file=str(file))
    with surrounded(told), pytest.raises(ConfigError, match=r"AWS_CA_BUNDLE: .*ca\.pem .*PEM certificates"):
        open_store(URL)


def test_afterwards_the_environment_is_as_before(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://before")
    with surrounded(variables(URL, endpoint="https://within", encryption="sse-s3")):
        assert os.environ["AWS_ENDPOINT_URL"] == "https://within"
        assert os.environ["AWS_SERVER_SIDE_ENCRYPTION"] == "AES256"
    assert os.environ["AWS_ENDPOINT_URL"] == "https://before"
    assert "AWS_SERVER_SIDE_ENCRYPTION" not in os.environ


def test_what_one_run_was_told_stays_while_another_that_was_told_the_same_goes_on(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://outside")
    told = {"AWS_ENDPOINT_URL": "https://within"}
    first, second = surrounded(told), surrounded(told)
    first.__enter__()
    with second:
        first.__exit__(None, None, None)
        assert os.environ["AWS_ENDPOINT_URL"] == "https://within"
    assert os.environ["AWS_ENDPOINT_URL"] == "https://outside"


def test_two_runs_at_once_whose_stores_are_elsewhere_are_refused_rather_than_mixed():
    with surrounded({"AWS_ENDPOINT_URL": "https://one"}):
        for other in ({"AWS_ENDPOINT_URL": "https://two"}, {}):
            with pytest.raises(ConfigError, match="one after the other"), surrounded(other):
                pass
        assert os.environ["AWS_ENDPOINT_URL"] == "https://one"
