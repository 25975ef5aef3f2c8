"""The access log waits for nobody: a reader that hangs costs lines, which are counted, and no answers."""

import asyncio
import json
import os
from typing import Any

import pytest

from tasks.service import access_log
from tasks.service.access_log import AccessLog
from tasks.service.exchange import Request

SCOPE: dict[str, Any] = {"method": "GET", "path": "/", "raw_path": b"/" * 200, "headers": []}


def test_a_reader_that_hangs_costs_lines_and_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_log, "MOST_BYTES", 10_000)
    reading, writing = os.pipe()
    request: Any = Request(SCOPE, None, 0.0)

    async def use() -> None:
        log = AccessLog(writing)
        for _ in range(3):
            for _ in range(1000):
                log.write(request, 200, 0.0)
            await log.close(0.0)
        taking = asyncio.ensure_future(asyncio.to_thread(os.read, reading, 10**7))
        while b"dropped" not in (last := await taking):
            taking = asyncio.ensure_future(asyncio.to_thread(os.read, reading, 10**7))
        lines = [json.loads(line) for line in last.splitlines() if line.startswith(b'{"dropped"')]
        assert all(line["dropped"] > 900 for line in lines)
        await log.close(30.0)

    asyncio.run(use())


def test_nothing_blocks_though_nobody_reads() -> None:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    request: Any = Request(SCOPE, None, 0.0)

    async def use() -> int:
        log = AccessLog(writing)
        for _ in range(1000):
            log.write(request, 200, 0.0)
        await log.close(0.0)  # the pipe is full, and the loop goes on
        lines = b""
        while lines.count(b"\n") < 1000:
            try:
                lines += os.read(reading, 10**6)
            except BlockingIOError:
                await asyncio.sleep(0)
        return lines.count(b"\n")

    assert asyncio.run(use()) == 1000
