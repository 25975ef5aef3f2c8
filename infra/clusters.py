"""Dask clusters: processes on this machine, its GPUs, Kubernetes, or a scheduler that is already there."""

import importlib.util
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import dask.config
from distributed import Client

from infra.launcher import beside
from infra.machine import has_cuda, memory_bytes, processors
from storage.errors import ConfigError, ProcessFailed, WorkerLost
from storage.root import scratch_folder, work_folder

OnEvent = Callable[[dict[str, Any]], None]
CONNECT_SECONDS = 10
GIB = 1 << 30
WORKERS_SHARE = 0.75  # of the memory; the rest is for the run itself and its trainer
LEAST_GIB = 1.0  # what a worker needs with its libraries loaded and one shard at hand
WORKER_ENVIRONMENT = {
    **dict.fromkeys(
        ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS", "ARROW_NUM_THREADS"), "1"
    ),
    "MALLOC_TRIM_THRESHOLD_": "65536",  # as Dask sets it: freed memory goes back to the system
}


@contextmanager
def open_cluster(section: Any, on_event: OnEvent | None = None, modules: Sequence[str] = ()) -> Iterator[Client]:
    """A client of the cluster that `section` asks for (`address`, `workers`, `memory_gib`); what was started here ends with it.

    `on_event` hears of the cluster's start; `modules` are those that the work will need, for workers that can load them beforehand.
    ConfigError when the cluster cannot exist here; WorkerLost when it does not answer.
    """
    openers = {"local": _local, "cuda": _cuda, "kubernetes": _kubernetes}
    opener = openers.get(section.address, _address)
    with (
        dask.config.set({"distributed.comm.timeouts.connect": f"{CONNECT_SECONDS}s"}),
        opener(section, modules) as client,
    ):
        if on_event:
            workers = len(client.scheduler_info(n_workers=-1)["workers"])
            on_event({"event": "cluster", "cluster": section.address, "workers": workers})
        yield client


def size(section: Any) -> tuple[int, int]:
    """How many local workers, and the bytes each may take, such that all fit; what `section` says wins."""
    budget = memory_bytes() * WORKERS_SHARE / GIB
    workers = section.workers or max(1, min(processors(), int(budget / (section.memory_gib or LEAST_GIB))))
    return workers, math.floor((section.memory_gib or budget / workers) * GIB)


@contextmanager
def _local(section: Any, modules: Sequence[str]) -> Iterator[Client]:
    workers, limit = size(section)
    with _helper({"kind": "local", "workers": workers, "memory_bytes": limit, "preload": list(modules)}) as client:
        yield client


@contextmanager
def _cuda(section: Any, modules: Sequence[str]) -> Iterator[Client]:
    if importlib.util.find_spec("dask_cuda") is None:
        raise ConfigError(
            "cluster.address is 'cuda', and dask-cuda is absent; pip install 'millrace[gpu]', or use 'local'"
        )
    if not has_cuda():
        raise ConfigError("cluster.address is 'cuda', and nvidia-smi lists no GPU here; use 'local'")
    with _helper({"kind": "cuda"}) as client:
        yield client


@contextmanager
def _helper(order: dict[str, Any]) -> Iterator[Client]:
    """A client of the cluster that `infra.local_cluster` makes: its scheduler and workers cannot outlive this process."""
    command = [sys.executable, "-m", "infra.local_cluster"]
    log = work_folder("dask") / "cluster.log"
    with (
        scratch_folder("dask") as folder,
        beside(command, {**order, "folder": str(folder)}, log=log, env=WORKER_ENVIRONMENT) as answer,
    ):
        try:
            address = answer()["address"]
        except ProcessFailed as error:
            raise ConfigError(
                f"cluster.address is {order['kind']!r}, and it cannot be started here: {error}"
            ) from error
        with Client(address) as client:
            yield client


@contextmanager
def _kubernetes(section: Any, modules: Sequence[str]) -> Iterator[Client]:
    """Workers as pods, made by the Dask operator of the current Kubernetes context."""
    try:
        from dask_kubernetes.operator import KubeCluster  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ConfigError(
            f"cluster.address is 'kubernetes', and dask-kubernetes cannot be imported ({error}); pip install 'millrace[kubernetes]'"
        ) from error
    memory = f"{section.memory_gib:g}Gi"
    try:
        cluster = KubeCluster(name="millrace", n_workers=section.workers, resources={"limits": {"memory": memory}})
    except Exception as error:  # every client library below raises its own
        raise ConfigError(
            f"cluster.address is 'kubernetes', and no cluster could be made ({error}); check kubectl's context"
        ) from error
    with cluster, Client(cluster) as client:
        yield client


@contextmanager
def _address(section: Any, modules: Sequence[str]) -> Iterator[Client]:
    """A scheduler somebody else runs; it stays."""
    if ":" not in section.address:
        raise ConfigError(
            f"cluster.address: found {section.address!r}, wanted local, cuda, kubernetes, or a scheduler's address such as tcp://host:8786"
        )
    try:
        client = Client(section.address, timeout=CONNECT_SECONDS)
    except ValueError as error:
        raise ConfigError(
            f"cluster.address: found {section.address!r}, which is no scheduler's address ({error})"
        ) from error
    except (OSError, TimeoutError) as error:
        raise WorkerLost(
            f"cluster.address: no scheduler answers at {section.address} ({error}); start it, or use 'local'"
        ) from error
    with client:
        yield client
