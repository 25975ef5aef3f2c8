"""The last check before an alias moves: the real server is started with the new version and must answer the golden requests."""

import contextlib
import http.client
import json
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from storage.errors import CorruptArtifact, ProcessFailed, ProcessLost
from storage.metering import reap
from storage.root import scratch_folder
from tasks.inference.golden import check_predictions
from tasks.service.limits import Limits

ROOM = Limits().body_bytes - 1024
START_SECONDS = 60.0
ANSWER_SECONDS = 30.0
STOP_SECONDS = 40.0
END_SECONDS = 1.0  # for a process whose connections broke off


def smoke_test(storage: str, name: str, version: int, golden: Mapping[str, Any], tolerance: float) -> None:
    """Serve `version` on a free port of this machine and ask it the golden items, all at once (as many as a body may hold) and one by one.

    ProcessFailed when the server does not start, answer, or stop with 0, ProcessLost when it was killed; CorruptArtifact names the first wrong prediction.
    """
    with _running(storage, name, version) as url:
        items = golden["items"]
        for rows in [*_bodies(items), *([row] for row in range(len(items)))]:
            answer = _ask(url, [items[row] for row in rows])
            if (answer["model"], answer["version"]) != (name, version):
                raise CorruptArtifact(f"smoke test: found an answer by {answer}, wanted {name}, version {version}")
            wanted, outputs = ([golden[part][row] for row in rows] for part in ("predictions", "outputs"))
            check_predictions(answer["prediction"], wanted, outputs, tolerance)


def _bodies(items: Sequence[Any]) -> Iterator[list[int]]:
    """The items' numbers, in as few groups as the service's limit on a body allows."""
    rows: list[int] = []
    size = 0
    for row, item in enumerate(items):
        length = len(json.dumps(item)) + 2
        if rows and size + length > ROOM:
            yield rows
            rows, size = [], 0
        rows.append(row)
        size += length
    yield rows


@contextmanager
def _running(storage: str, name: str, version: int) -> Iterator[str]:
    """The URL of a server that runs while the block does; it ends with this process, too."""
    options = [
        "--storage",
        storage,
        "--model",
        name,
        "--version",
        str(version),
        "--no-auth",
        "--workers",
        "1",
        "--die-with-parent",
    ]
    command = [sys.executable, "-P", "-m", "tasks.service", *options]
    with scratch_folder("smoke") as folder, (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
        try:
            yield _url(process, folder / "log")
            process.terminate()
            if reap(process, STOP_SECONDS) != 0:
                raise ProcessFailed(
                    f"smoke test: the server stopped with {process.returncode}: {_tail(folder / 'log')}"
                )
        except subprocess.TimeoutExpired:
            raise ProcessFailed(f"smoke test: the server had not stopped after {STOP_SECONDS:g} s") from None
        except ProcessFailed as error:
            _refuse_killed(process, error)
            raise
        finally:
            process.kill()
            reap(process)
            for pipe in (process.stdin, process.stdout):
                _close(pipe)


def _refuse_killed(process: subprocess.Popen[bytes], error: ProcessFailed) -> None:
    """ProcessLost where the server did not fail but was killed: another try may give another answer."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        if (code := reap(process, END_SECONDS)) < 0:
            raise ProcessLost(f"{error} (the server was killed by {signal.Signals(-code).name})") from error


def _url(process: subprocess.Popen[bytes], log: Path) -> str:
    if process.stdout is None or not select.select([process.stdout], [], [], START_SECONDS)[0]:
        raise ProcessFailed(f"smoke test: the server was not ready after {START_SECONDS:g} s: {_tail(log)}")
    line = process.stdout.readline()
    if not line:
        raise ProcessFailed(f"smoke test: the server did not start: {_tail(log)}")
    return json.loads(line)["url"]


def _ask(url: str, items: Sequence[Any]) -> dict[str, Any]:
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=ANSWER_SECONDS)
    started = time.perf_counter()
    try:
        connection.request("POST", "/predict", json.dumps({"input_data": items}), {"content-type": "application/json"})
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException) as error:
        seconds = time.perf_counter() - started
        raise ProcessFailed(f"smoke test: no answer after {seconds:.1f} s: {error!r}") from None
    finally:
        connection.close()
    if response.status != 200:
        raise ProcessFailed(f"smoke test: found the answer {response.status} {body[:500]!r}, wanted 200")
    return json.loads(body)


def _tail(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it left no message"


def _close(pipe: IO[bytes] | None) -> None:
    if pipe is not None:
        pipe.close()
