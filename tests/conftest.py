"""What all tests share: a real Prefect server for the session, and the command as a user types it."""

import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from commands import COMMAND, Ended, environment, free_port, wait_for
from real_s3 import pytest_terminal_summary, real_s3, s3_server

__all__ = ["pytest_terminal_summary", "real_s3", "s3_server"]  # pytest finds them here


@pytest.fixture(scope="session")
def prefect_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real Prefect server, up for the whole session."""
    home, port = tmp_path_factory.mktemp("prefect"), free_port()
    settings = {
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_API_URL": "",
    }
    with (home / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)],
            env={**environment(home), **settings},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        wait_for(lambda: _answers(f"http://127.0.0.1:{port}/api/health"), "the Prefect server", seconds=120)
        yield f"http://127.0.0.1:{port}/api"
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


@pytest.fixture(scope="session")
def millrace(prefect_api: str) -> Callable[..., Ended]:
    """`millrace("run", "digits", home=folder)` runs the command in `home`, against the session's Prefect server."""

    def run(*arguments: str, home: Path, timeout: float = 420, **more: str) -> Ended:
        ended = subprocess.run(
            [*COMMAND, *arguments],
            cwd=home,
            env=environment(home / ".millrace", PREFECT_API_URL=prefect_api, **more),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        return Ended(ended.returncode, ended.stdout, ended.stderr)

    return run


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return response.status == 200
    except OSError:
        return False
