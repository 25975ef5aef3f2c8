"""Dask clusters: processes on this machine, its GPUs, Kubernetes, or a scheduler that is already there."""

import importlib.util
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import dask.config
from distributed import Client
from distributed.scheduler import NoWorkerError

from infra.agreement import Work, check_agreement
from infra.dask_settings import ENVIRONMENT
from infra.launcher import beside
from infra.machine import has_cuda, memory_bytes, processors
from infra.pods import pods
from infra.schedulers import CONNECT_SECONDS, connect
from infra.sharing import lent
from infra.telling import telling
from storage.errors import ConfigError, ProcessFailed
from storage.root import scratch_folder, work_folder

OnEvent = Callable[[dict[str, Any]], None]
Opened = tuple[Client, bool]  # and whether its dashboard can be looked at
GIB = 1 << 30
HERE = ("local", "cuda")  # workers that have what this process has
WORKERS_SHARE = 0.75  # of the memory; the rest is for the run itself and its trainer
LEAST_GIB = 1.0  # what a worker needs with its libraries loaded and one shard at hand
TOO_LITTLE_GIB = (
    0.5  # the libraries alone take 0.2: with little more Dask pauses the worker, and the work would wait for ever
)
WORKER_SECONDS = 60  # for the first worker to join, where the cluster is not ours


@contextmanager
def open_cluster(section: Any, on_event: OnEvent | None = None, work: Work | None = None) -> Iterator[Client]:
    """A client of the cluster that `section` asks for. What was started here ends with it (within `sharing.one_cluster` with that
    block), or with this process.

    `on_event` hears of the cluster's start; `work` says what it is for: workers here load it beforehand, those elsewhere are compared
    with this process. ConfigError when the cluster cannot exist or cannot do the work; WorkerLost when it answers no more.
    """
    with lent(section, partial(_opened, section, on_event or (lambda event: None), work)) as client:
        if work and section.address not in HERE:
            check_agreement(client, work)
        yield client


@contextmanager
def _opened(section: Any, report: OnEvent, work: Work | None) -> Iterator[Client]:
    openers = {"local": _local, "cuda": _cuda, "kubernetes": _kubernetes}
    opener = openers.get(section.address, _address)
    with (
        dask.config.set({"distributed.comm.timeouts.connect": f"{CONNECT_SECONDS}s"}),
        opener(section, report, work) as (client, dashboard),
    ):
        workers = len(client.scheduler_info(n_workers=-1)["workers"])
        link = {"dashboard": client.dashboard_link} if dashboard else {}
        report({"event": "cluster", "cluster": section.address, "workers": workers, **link})
        yield client


def size(section: Any) -> tuple[int, int]:
    """How many local workers, and the bytes each may take, such that all fit; what `section` says wins.

    ConfigError where that is too little to work with.
    """
    budget = memory_bytes() * WORKERS_SHARE / GIB
    workers = section.workers or max(1, min(processors(), int(budget / (section.memory_gib or LEAST_GIB))))
    each = section.memory_gib or budget / workers
    if each < TOO_LITTLE_GIB:
        raise ConfigError(
            f"cluster: found {each:.2f} GiB of memory for each of {workers} workers, wanted at least {TOO_LITTLE_GIB}; "
            "raise cluster.memory_gib or lower cluster.workers"
        )
    return workers, math.floor(each * GIB)


@contextmanager
def _local(section: Any, report: OnEvent, work: Work | None) -> Iterator[Opened]:
    workers, limit = size(section)
    order = {"kind": "local", "workers": workers, "memory_bytes": limit, "preload": _modules(work)}
    with _helper(order) as opened:
        yield opened


@contextmanager
def _cuda(section: Any, report: OnEvent, work: Work | None) -> Iterator[Opened]:
    if importlib.util.find_spec("dask_cuda") is None:
        raise ConfigError(
            "cluster.address is 'cuda', and dask-cuda is absent; pip install 'millrace[gpu]', or use 'local'"
        )
    if not has_cuda():
        raise ConfigError("cluster.address is 'cuda', and nvidia-smi lists no GPU here; use 'local'")
    memory = math.floor(section.memory_gib * GIB) or "auto"
    with _helper({"kind": "cuda", "workers": section.workers or None, "memory_bytes": memory}) as opened:
        yield opened


@contextmanager
def _kubernetes(section: Any, report: OnEvent, work: Work | None) -> Iterator[Opened]:
    with pods(section) as cluster, Client(cluster) as client, telling(client):
        _wait_for_worker(client, report)
        yield client, "dashboard" in client.scheduler_info()["services"]


@contextmanager
def _address(section: Any, report: OnEvent, work: Work | None) -> Iterator[Opened]:
    if ":" not in section.address:
        raise ConfigError(
            f"cluster.address: found {section.address!r}, wanted local, cuda, kubernetes, or a scheduler's address such as tcp://host:8786"
        )
    with connect(section) as client, telling(client):
        _wait_for_worker(client, report)
        yield client, "dashboard" in client.scheduler_info()["services"]


def _modules(work: Work | None) -> list[str]:
    """Where the work's code lies; not the user's own, which may do anything when it is loaded."""
    return [work.code.partition(":")[0]] if work else []


def _wait_for_worker(client: Client, report: OnEvent) -> None:
    address = client.scheduler.address  # pyright: ignore[reportOptionalMemberAccess]
    if not client.scheduler_info(n_workers=-1)["workers"]:
        report({"event": "no worker yet", "scheduler": address})
    try:
        client.submit(abs, -1, pure=False).result(timeout=WORKER_SECONDS)  # also where workers come only for work
    except (TimeoutError, NoWorkerError):  # the second where the scheduler itself is less patient
        raise ConfigError(
            f"cluster.address: no worker has joined {address} within {WORKER_SECONDS} s; start some with `dask worker {address}`"
        ) from None


@contextmanager
def _helper(order: dict[str, Any]) -> Iterator[Opened]:
    """The cluster that `infra.local_cluster` makes: its scheduler and workers cannot outlive this process."""
    command = [sys.executable, "-m", "infra.local_cluster"]
    log = work_folder("dask") / "cluster.log"
    with (
        scratch_folder("dask") as folder,
        beside(command, {**order, "folder": str(folder)}, log=log, env=_environment(folder)) as answer,
    ):
        try:
            told = answer()
        except ProcessFailed as error:
            raise ConfigError(
                f"cluster.address is {order['kind']!r}, and it cannot be started here: {error}"
            ) from error
        with Client(told["address"]) as client:
            yield client, told["dashboard"]


def _environment(folder: Path) -> dict[str, str]:
    """What the cluster's processes have beside ours: the scheduler's own files go where the workers' go."""
    return {**ENVIRONMENT, "DASK_TEMPORARY_DIRECTORY": str(folder)}
