"""`python tests/benchmarks/bench_serving.py`: our service, keys and metrics on, beside plain FastAPI with ONNX Runtime.

Both serve the same small model to 64 clients of this process, in turns. One JSON line: requests/s, milliseconds at p50 and p99, CPU
microseconds a request (of the server's process), the ratios ours/peer, and seconds from start to our first answer.
"""

import asyncio
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import psutil

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))  # the tests' own modules, wherever this is started

from commands import environment, free_port  # noqa: E402
from handmade import iris_files, iris_store, serving, write_files  # noqa: E402

from tasks.service.keys import create_key  # noqa: E402

CLIENTS, SECONDS, TURNS = 64, 3.0, 3
BODY = json.dumps({"input_data": [[5.1, 3.5, 1.4, 0.2]]}).encode()


def main() -> None:
    """Measure, and write the line."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store, _ = iris_store(folder)
        key = create_key(folder / "keys.json", ["predict:iris"])
        started = time.perf_counter()
        with serving(store, folder, "--keys", str(folder / "keys.json")) as ours, _peer(folder) as (port, peer):
            ours.client.post("/predict", content=BODY, headers={"x-api-key": key}).raise_for_status()
            turns: dict[str, list[dict[str, float]]] = {"ours": [], "peer": []}
            for _ in range(TURNS):
                own_port = int(ours.first_line["url"].rpartition(":")[2])
                turns["ours"].append(_turn(own_port, f"X-API-Key: {key}\r\n", ours.process.pid))
                turns["peer"].append(_turn(port, "", peer))
        start_seconds = _start_seconds(store, folder)
    result: dict[str, Any] = {
        side: {part: median(t[part] for t in all) for part in all[0]} for side, all in turns.items()
    }
    ratios = {part: result["ours"][part] / result["peer"][part] for part in result["ours"]}
    line = {"benchmark": "serving", "clients": CLIENTS, **result, "ours_over_peer": ratios}
    sys.stdout.write(
        json.dumps(
            {**line, "start_to_first_answer_seconds": start_seconds, "total_seconds": time.perf_counter() - started}
        )
        + "\n"
    )


@contextmanager
def _peer(folder: Path) -> Iterator[tuple[int, int]]:
    """Port and process of the peer."""
    write_files(iris_files(), folder / "peer")
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "peer_fastapi:app", "--app-dir", str(HERE), "--port", str(port)]
    process = subprocess.Popen(
        [*command, "--no-access-log", "--log-level", "warning"],
        env=environment(folder, PEER_FOLDER=str(folder / "peer")),
    )
    try:
        _wait_until_it_listens(port)
        yield port, process.pid
    finally:
        process.kill()
        process.wait()


def _turn(port: int, headers: str, process: int) -> dict[str, float]:
    """What `CLIENTS` clients meet in `SECONDS` seconds."""
    before = _cpu_seconds(process)
    seconds = asyncio.run(_clients(port, headers))
    cpu = _cpu_seconds(process) - before
    cuts = quantiles(seconds, n=100)
    return {
        "requests_per_second": len(seconds) / SECONDS,
        "latency_ms_p50": cuts[49] * 1e3,
        "latency_ms_p99": cuts[98] * 1e3,
        "cpu_us_per_request": cpu / len(seconds) * 1e6,
    }


async def _clients(port: int, headers: str) -> list[float]:
    head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{headers}Content-Length: {len(BODY)}\r\n\r\n"
    end = time.perf_counter() + SECONDS
    clients = await asyncio.gather(*(_client(port, head.encode() + BODY, end) for _ in range(CLIENTS)))
    return [seconds for client in clients for seconds in client]


async def _client(port: int, request: bytes, end: float) -> list[float]:
    """Seconds of each request of one connection; an answer that is not 200 ends the benchmark."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    seconds = []
    while (started := time.perf_counter()) < end:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"found {head!r}, wanted 200")
        await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))
        seconds.append(time.perf_counter() - started)
    writer.close()
    return seconds


def _start_seconds(store: Any, folder: Path) -> float:
    """From the start of our process to its first answer, the median of five starts."""
    found = []
    for _ in range(5):
        started = time.perf_counter()
        with serving(store, folder) as ours:
            ours.client.post("/predict", content=BODY).raise_for_status()
            found.append(time.perf_counter() - started)
    return median(found)


def _cpu_seconds(process: int) -> float:
    times = psutil.Process(process).cpu_times()
    return times.user + times.system


def _wait_until_it_listens(port: int) -> None:
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except ConnectionRefusedError:
            time.sleep(0.05)
    raise RuntimeError("the peer did not start")


if __name__ == "__main__":
    main()
