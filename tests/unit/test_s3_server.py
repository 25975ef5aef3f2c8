"""The real S3 server for tests: what is said where it cannot be had."""

from pathlib import Path

import pytest

from infra.s3_server.__main__ import main


def test_without_apt_one_line_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("MILLRACE_S3_SERVER", str(tmp_path / "server"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["fetch"]) == 2
    assert capsys.readouterr().err.endswith(
        "found no apt-get and dpkg, wanted Debian or Ubuntu; test with another S3 server\n"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["start", "serve"])
def test_a_server_that_was_not_fetched_says_how(
    command: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("MILLRACE_S3_SERVER", str(tmp_path / "server"))
    assert main([command]) == 2
    assert "fetch it (60 MB): python -m infra.s3_server fetch" in capsys.readouterr().err
