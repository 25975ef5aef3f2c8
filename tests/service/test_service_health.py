"""The image's own check: it asks the service as the service's options and settings say, with and without TLS."""

import json
import socket
import ssl
from pathlib import Path

import httpx
import pytest
from certificates import make_authority
from commands import wait_for
from handmade import iris_store, serving

from tasks.service.health import fault

COMMAND = ["python", "-m", "tasks.service", "--storage", "s", "--model", "iris", "--no-auth"]


def free_port() -> str:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return str(found.getsockname()[1])


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
def test_a_service_is_ready_when_it_says_so_and_not_when_it_has_ended(tmp_path: Path, tls: bool) -> None:
    store, _ = iris_store(tmp_path)
    made = make_authority(tmp_path / "authority")
    settings = tmp_path / "settings.yaml"
    settings.write_text(json.dumps({"tls": {"certificate": made["tls_cert"], "key": made["tls_key"]}} if tls else {}))
    options = ("--port", free_port(), "--workers", "1", "--settings", str(settings))
    with serving(store, tmp_path, *options) as service:
        assert fault([*COMMAND, *options]) == ""
        if tls:
            told = ssl.create_default_context(cafile=made["tls_ca"])
            assert httpx.get(f"{service.first_line['url']}/readyz", verify=told, trust_env=False).status_code == 200
            assert "127.0.0.1, port" in fault([*COMMAND, *options[:2]])
    wait_for(lambda: "127.0.0.1, port" in fault([*COMMAND, *options]), "the end of the worker too")


def test_another_program_is_no_service() -> None:
    assert "wanted one of tasks.service" in fault(["sleep", "1"])
