"""`python -m infra.local_cluster`: a Dask cluster on this machine, its GPUs or its processors, for the process that started it.

A program of its own, as Dask's workers begin by importing the main program again: a user's script would run once more in each. Told by
one line of JSON on standard input, it answers with `{"address": …, "dashboard": …}` or `{"error": …}`. It lives until standard input ends, which is also
how the death of the one who started it is heard of, and takes its whole process group with it.
"""

import asyncio
import importlib.util
import json
import logging
import multiprocessing
import multiprocessing.forkserver
import os
import shutil
import signal
import sys
import tempfile
import threading
from contextlib import AbstractAsyncContextManager
from typing import Any

from infra.dask_settings import SETTINGS

LOOPBACK = "127.0.0.1"
FREE = f"{LOOPBACK}:0"  # a port that nobody has
SOCKET_PATH_BYTES = 107  # unix(7): sun_path, without its end
SOCKET_NAME_BYTES = len("/pymp-12345678/listener-12345678")


def main() -> int:
    """Start the cluster that is asked for, say where it is, and stay until the end of standard input."""
    order = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, args=(order["folder"],), daemon=True).start()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what workers print goes to the log: nobody reads it here
    try:
        asyncio.run(_serve(order, answers))
    except Exception as error:  # noqa: BLE001  pynvml and CUDA raise kinds of their own
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}), file=answers, flush=True)
        return 1
    return 0


async def _serve(order: dict[str, Any], answers: Any) -> None:
    opener = {"local": _processes, "cuda": _gpus}[order["kind"]]
    async with opener(order) as cluster:
        answer = {"address": cluster.scheduler_address, "dashboard": _has_bokeh()}
        print(json.dumps(answer), file=answers, flush=True)
        await asyncio.Event().wait()


def _processes(order: dict[str, Any]) -> AbstractAsyncContextManager[Any]:
    """Workers of one thread each: what they run need not be safe for threads."""
    method = "spawn"
    if (
        sys.platform == "linux" and _has_room()
    ):  # forked from a process that has the libraries already: each worker starts in no time
        method = "forkserver"
        multiprocessing.set_forkserver_preload(["distributed", *order["preload"]])
        multiprocessing.forkserver.ensure_running()  # it imports while we do
    import dask.config
    from distributed import LocalCluster

    dask.config.set({**SETTINGS, "distributed.worker.multiprocessing-method": method})
    return LocalCluster(
        n_workers=order["workers"],
        threads_per_worker=1,
        processes=True,
        memory_limit=order["memory_bytes"],
        host=LOOPBACK,
        scheduler_kwargs={"dashboard": _has_bokeh(), "dashboard_address": FREE},  # None would take 8787, Dask's own
        silence_logs=logging.CRITICAL,
        local_directory=order["folder"],
        asynchronous=True,
    )


def _has_room() -> bool:
    """Whether a socket in the folder of temporary files has a path that the system takes."""
    return len(os.fsencode(tempfile.gettempdir())) + SOCKET_NAME_BYTES <= SOCKET_PATH_BYTES


def _gpus(order: dict[str, Any]) -> AbstractAsyncContextManager[Any]:
    """One worker a GPU."""
    import dask.config
    from dask_cuda import LocalCUDACluster  # pyright: ignore[reportMissingImports]

    dask.config.set(SETTINGS)
    return LocalCUDACluster(
        n_workers=order["workers"],
        memory_limit=order["memory_bytes"],
        host=LOOPBACK,
        dashboard_address=FREE if _has_bokeh() else None,
        silence_logs=logging.CRITICAL,
        local_directory=order["folder"],
        asynchronous=True,
    )


def _has_bokeh() -> bool:
    """Whether what Dask draws its dashboard with is installed."""
    return importlib.util.find_spec("bokeh") is not None


def _end_with_parent(folder: str) -> None:
    """Workers keep nothing that lasts, so there is nothing to wait for."""
    while os.read(0, 4096):
        continue
    shutil.rmtree(folder, ignore_errors=True)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
