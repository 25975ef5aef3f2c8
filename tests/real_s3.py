"""A real S3 server for the tests that want one, and the line at their end that says whether there was one."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest

from infra.s3_server.ceph import ACCESS_KEY, SECRET_KEY, CephRgw
from infra.s3_server.packages import server_folder, unpacked
from storage.errors import ProcessFailed

NOTE = "real S3 server"
FOLDER = server_folder()  # before any test changes the environment that it depends on


@dataclass(frozen=True)
class RealS3:
    """A server that is up. `url`: its endpoint; `bucket`: made for one test, or one module of them."""

    url: str
    version: str
    bucket: str

    def environment(self, endpoint: str = "") -> dict[str, str]:
        """What a process must be told to reach it, or what stands before it at `endpoint`."""
        return {
            "AWS_ENDPOINT_URL": endpoint or self.url,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self) -> Any:
        """boto3's own, for what a user does beside Millrace."""
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            verify=False,
        )


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CephRgw]:
    """Ceph RGW for the session, started in two seconds; skips where it was not fetched."""
    if not unpacked(FOLDER):
        pytest.skip("no real S3 server here; fetch one (60 MB, Debian): python -m infra.s3_server fetch")
    server = CephRgw(FOLDER, tmp_path_factory.mktemp("rgw") / "run")
    try:
        server.start()
    except ProcessFailed as error:
        pytest.skip(f"the real S3 server does not start here: {error}")
    yield server
    server.stop()


@pytest.fixture
def real_s3(s3_server: CephRgw, record_property: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> RealS3:
    """The server with a new bucket, and this process's environment as it must be to reach it."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    real = RealS3(s3_server.url, s3_server.version, tmp_path.name.replace("_", "-").lower()[:63].strip("-"))
    for name, value in real.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MILLRACE_ROOT", str(tmp_path / "root"))
    real.client().create_bucket(Bucket=real.bucket)
    record_property(NOTE, f"Ceph RGW {real.version}")
    return real


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """One line: which S3 server the tests met."""
    reports = [r for kind in ("passed", "failed", "skipped") for r in terminalreporter.stats.get(kind, [])]
    met = [value for report in reports for name, value in getattr(report, "user_properties", []) if name == NOTE]
    if met:
        terminalreporter.write_line(f"S3: {met[0]} on 127.0.0.1 met by {len(met)} tests, look-alikes by the others")
        return
    reasons = [str(r.longrepr[2]) for r in reports if r.skipped and isinstance(r.longrepr, tuple)]
    reason = next((r.removeprefix("Skipped: ") for r in reasons if "real S3 server" in r), "")
    if reason:
        terminalreporter.write_line(f"S3: look-alikes only ({reason})")
