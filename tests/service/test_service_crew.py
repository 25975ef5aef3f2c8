"""The supervisor's crew: who hangs is killed, who was merely not heard because nobody listened is not."""

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from tasks.service.channel import Channel
from tasks.service.crew import Crew, Worker

LOOKS = 3


class Sleeper(subprocess.Popen[bytes]):
    """A process that knows whether it was told to end, as its end itself takes a moment."""

    def __init__(self) -> None:
        super().__init__([sys.executable, "-c", "import time; time.sleep(60)"])
        self.killed = False

    def kill(self) -> None:
        self.killed = True
        super().kill()


@pytest.fixture
def sleeper() -> Iterator[Sleeper]:
    process = Sleeper()
    yield process
    process.kill()
    process.wait()


def looked_at(process: Sleeper, reports: list[bool]) -> bool:
    """Whether a worker is let live in a look for each of `reports`, before which it reported or not."""

    async def run() -> bool:
        async def greet(_: Worker) -> None: ...

        with socket.socket() as listener:
            crew = Crew(listener, 1, {}, greet)
            worker = Worker(process, Channel({}), time.monotonic() - 3600)
            crew.ready.add(worker)
            for reported in reports:
                worker.silent = 0 if reported else worker.silent
                crew.end_hanging(LOOKS)
        return not process.killed

    return asyncio.run(run())


def test_a_worker_that_is_silent_for_too_many_looks_is_killed(sleeper: Sleeper) -> None:
    assert not looked_at(sleeper, [False] * (LOOKS + 1))
    assert sleeper.wait(10) != 0


def test_a_worker_that_reports_now_and_then_lives(sleeper: Sleeper) -> None:
    assert looked_at(sleeper, ([True] + [False] * (LOOKS - 1)) * 3)


def test_a_worker_that_nobody_listened_to_for_an_hour_lives(sleeper: Sleeper) -> None:
    assert looked_at(sleeper, [False])
