"""A scheduler and a worker in one process that is made different from ours."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from commands import environment

from tasks.sections import ClusterSection

TOGETHER = """
import asyncio, sys
{before}
from distributed import Scheduler, Worker

async def main():
    async with Scheduler(host="127.0.0.1", port=0, dashboard=False) as scheduler:
        if {worker}:
            await Worker(scheduler.address, nthreads=1)
        print(scheduler.address, flush=True)
        await scheduler.finished()

asyncio.run(main())
"""


@contextmanager
def odd(before: str, folder: Path, worker: bool = True) -> Iterator[ClusterSection]:
    """A scheduler with a worker in a process that is different from ours by what it does `before`."""
    process = subprocess.Popen(
        [sys.executable, "-c", TOGETHER.format(before=before, worker=worker)],
        stdout=subprocess.PIPE,
        env=environment(folder),
        text=True,
    )
    try:
        assert process.stdout
        yield ClusterSection(address=process.stdout.readline().strip())
    finally:
        process.kill()
        process.communicate()
