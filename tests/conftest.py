"""What all tests share: a real Prefect server for the session, and the command as a user types it."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from commands import COMMAND, Ended, environment
from installed import installed, wheel
from prefect_server import prefect_server
from real_s3 import pytest_terminal_summary, real_s3, s3_server

__all__ = ["installed", "pytest_terminal_summary", "real_s3", "s3_server", "wheel"]  # pytest finds them here


@pytest.fixture(scope="session")
def prefect_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real Prefect server, up for the whole session."""
    with prefect_server(tmp_path_factory.mktemp("prefect")) as api:
        yield api


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
