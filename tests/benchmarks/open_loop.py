"""A sender in a process of its own: `open_loop.py ORDER`, a JSON file with what to send where; a line of JSON each second, and one at the end.

Open: requests leave at a fixed rate, whether or not earlier ones were answered, each over a connection that is free. All connections are
there, and have had an answer each, before the first of these requests; one that the server closes is replaced.
Closed: each connection sends its next request when its last one is answered.
"""

import asyncio
import gc
import json
import os
import sys
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TICK_SECONDS = 0.002
REPORT_SECONDS = 1.0
OPENED_AT_ONCE = 50
KEPT = 200_000  # latencies of one status


@dataclass
class Sender:
    """`order`: url's `host`, `port` and `path`, `headers`, `bodies`, `seconds`, `connections` (the most), `rate` (0: closed loop)."""

    order: dict[str, Any]
    statuses: Counter[int] = field(default_factory=Counter)
    latencies_ms: dict[int, deque[float]] = field(default_factory=dict)
    idle: deque["Connection"] = field(default_factory=deque)
    opened: int = 0
    opening: set["asyncio.Future[None]"] = field(default_factory=set)
    began: float = field(default_factory=time.perf_counter)
    unsent: int = 0
    lags_ms: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT))
    at: int = 0
    stopped: bool = False

    def __post_init__(self) -> None:
        head = f"POST {self.order['path']} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in self.order["headers"].items())
        bodies = [json.dumps(body) for body in self.order["bodies"]]
        self.requests = [f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode() for body in bodies]

    def next_request(self) -> bytes:
        self.at += 1
        return self.requests[self.at % len(self.requests)]

    def note(self, status: int, seconds: float) -> None:
        """Count an answer; status 0: the connection broke before one."""
        self.statuses[status] += 1
        self.latencies_ms.setdefault(status, deque(maxlen=KEPT)).append(seconds * 1e3)

    async def run(self) -> None:
        if self.order["rate"]:
            await self._open_all()
        self.began = time.perf_counter()
        reporting = asyncio.ensure_future(self._report())
        await (self._open_loop() if self.order["rate"] else self._closed_loop())
        self.stopped = True
        reporting.cancel()
        lags = sorted(self.lags_ms) or [0.0]
        _say(
            {
                "statuses": self.statuses,
                "unsent": self.unsent,
                "connections": self.opened,
                "sender_lag_ms_p99": lags[int(0.99 * (len(lags) - 1))],
                "latency_ms": {status: _quantiles(values) for status, values in self.latencies_ms.items()},
            }
        )

    async def _closed_loop(self) -> None:
        for _ in range(self.order["connections"]):
            await self._connect()
        for connection in list(self.idle):
            connection.send(self.next_request())
        self.idle.clear()
        await asyncio.sleep(self.order["seconds"])

    async def _open_loop(self) -> None:
        sent = 0
        while (passed := time.perf_counter() - self.began) < self.order["seconds"]:
            due = int(passed * self.order["rate"])
            while sent < due:
                self._send(self.began + sent / self.order["rate"])
                sent += 1
            await asyncio.sleep(TICK_SECONDS)

    async def _open_all(self) -> None:
        """A few at a time: this is no test of how quickly connections are taken."""
        while self.opened < self.order["connections"]:
            for _ in range(min(OPENED_AT_ONCE, self.order["connections"] - self.opened)):
                await self._connect()
            fresh = [self.idle.pop() for _ in range(min(OPENED_AT_ONCE, len(self.idle)))]
            for connection in fresh:
                connection.send(self.next_request())
            while any(connection.busy for connection in fresh):
                await asyncio.sleep(TICK_SECONDS)
        self.statuses.clear()
        self.latencies_ms.clear()

    def _send(self, due: float) -> None:
        """Over the connection that has been free for the longest. Where none is, this request counts as not sent."""
        if not self.idle:
            self.unsent += 1
            if self.opened + len(self.opening) < self.order["connections"]:
                opening = asyncio.ensure_future(self._replace())
                self.opening.add(opening)
                opening.add_done_callback(self.opening.discard)
            return
        self.lags_ms.append((time.perf_counter() - due) * 1e3)
        self.idle.popleft().send(self.next_request())

    async def _replace(self) -> None:
        try:
            await self._connect()
        except OSError:
            self.note(0, 0.0)

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: Connection(self), self.order["host"], self.order["port"])

    async def _report(self) -> None:
        last: Counter[int] = Counter()
        at = time.perf_counter()
        while True:
            await asyncio.sleep(REPORT_SECONDS)
            now = time.perf_counter()
            changed = {status: (count - last[status]) / (now - at) for status, count in self.statuses.items()}
            last, at = self.statuses.copy(), now
            _say({"at": now - self.began, "per_second": changed})


class Connection(asyncio.Protocol):
    """One request at a time."""

    def __init__(self, sender: Sender) -> None:
        self.sender, self.sent, self.received, self.busy = sender, 0.0, b"", False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.sender.opened += 1
        self.sender.idle.append(self)

    def send(self, request: bytes) -> None:
        self.busy, self.sent = True, time.perf_counter()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, found, rest = self.received.partition(b"\r\n\r\n")
        if not found:
            return
        fields = head.lower()
        if len(rest) < int(fields.partition(b"content-length: ")[2].partition(b"\r\n")[0]):
            return
        self.received, self.busy = b"", False
        self.sender.note(int(head[9:12]), time.perf_counter() - self.sent)
        if b"connection: close" in fields:
            self.transport.close()
        elif self.sender.order["rate"]:
            self.sender.idle.append(self)
        elif not self.sender.stopped:
            self.send(self.sender.next_request())

    def connection_lost(self, exc: Exception | None) -> None:
        self.sender.opened -= 1
        if self in self.sender.idle:
            self.sender.idle.remove(self)
        if self.busy and not self.sender.stopped:
            self.sender.note(0, time.perf_counter() - self.sent)


def _quantiles(values: "deque[float]") -> dict[str, float]:
    ordered = sorted(values)
    return {name: round(ordered[int(share * (len(ordered) - 1))], 3) for name, share in (("p50", 0.5), ("p99", 0.99))}


def _say(told: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    order = json.loads(Path(sys.argv[1]).read_text())
    os.sched_setaffinity(0, order["cores"])
    gc.freeze()
    import uvloop

    uvloop.run(Sender(order).run())
