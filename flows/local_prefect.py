"""A Prefect server with its UI and one worker in the background of this data root; by-hand runs find it."""

import os
import sys
import urllib.error
import urllib.request
from collections.abc import Callable

from infra import background
from storage.errors import ConfigError

SERVER, WORKER = "server", "worker"
PORT, POOL = 4200, "process"
START_SECONDS = 180.0
CHECK_SECONDS = 10.0
SETTINGS = {
    # kept on disk: in memory, as Prefect has it by default, a server that is started again would never free the places of killed runs
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
    "PREFECT_WORKER_QUERY_SECONDS": "2",
    "PREFECT_WORKER_ENABLE_CANCELLATION": "true",
    "PREFECT_WORKER_CANCELLATION_POLL_SECONDS": "5",
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
    "PYTHONSAFEPATH": "1",  # runs begin in the user's folder, where there may well be a package called `tasks`
}


def api_url() -> str:
    """The API of this data root's server if it runs and answers; else empty."""
    port = background.facts_of(SERVER).get("port")
    url = f"http://127.0.0.1:{port}/api"
    return url if port and background.is_running(SERVER) and _answers(url) else ""


def use_server() -> bool:
    """Have this process and its children speak to the server that PREFECT_API_URL names, or to this data root's where that runs: a run
    is then seen in the UI, and starts at once. Whether there is one; ConfigError where the named one does not answer.
    """
    if url := os.environ.get("PREFECT_API_URL") or api_url():
        os.environ["PREFECT_API_URL"] = url
        _check(url)
    return bool(url)


def start_server(port: int | None) -> str:
    """The URL of the API of a server that answers: the one that runs, or a new one on `port` (None: the first free one from 4200)."""
    url, running = api_url(), background.facts_of(SERVER).get("port")
    if url and port in (None, running):
        return url
    if url:
        raise ConfigError(f"port {port}: the server is up already, on port {running}; stop it first: millrace down")
    background.stop_all()  # what is half dead
    chosen = background.free_port(port or running or PORT, exactly=port is not None)
    url = f"http://127.0.0.1:{chosen}/api"
    argv = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(chosen)]
    background.start(SERVER, argv, {**SETTINGS, "PREFECT_API_URL": "", "PREFECT_UI_API_URL": url}, port=chosen)
    background.await_answer(SERVER, lambda: _answers(url), START_SECONDS)
    return url


def start_worker(api: str, is_online: Callable[[], bool]) -> None:
    """One worker of the pool `process`, unless it runs; returns when `is_online` says that the server knows it."""
    if not background.is_running(WORKER):
        argv = [sys.executable, "-m", "prefect", "worker", "start", "--pool", POOL, "--name", "millrace"]
        background.start(WORKER, argv, {**SETTINGS, "PREFECT_API_URL": api, "MILLRACE_HOME": os.getcwd()})
    background.await_answer(WORKER, is_online, START_SECONDS)


def _check(url: str) -> None:
    try:
        urllib.request.urlopen(f"{url.rstrip('/')}/health", timeout=CHECK_SECONDS).close()
    except urllib.error.HTTPError:
        return  # it answers; whether it lets us in is Prefect's to find out
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"PREFECT_API_URL: no Prefect server answers at {url} ({getattr(error, 'reason', error)}); start it (millrace up), or unset "
            "PREFECT_API_URL to run without one"
        ) from error


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5) as response:
            return response.status == 200
    except OSError:
        return False
