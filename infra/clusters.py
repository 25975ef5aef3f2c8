"""Dask clusters: processes on this machine, its GPUs, Kubernetes, or a scheduler that is already there."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import dask.config
from distributed import Client, LocalCluster

from infra.telling import telling
from storage.errors import ConfigError, WorkerLost
from storage.root import work_folder

OnEvent = Callable[[dict[str, Any]], None]
CONNECT_SECONDS = 10
GIB = 1 << 30
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS", "ARROW_NUM_THREADS"), "1"
)


@contextmanager
def open_cluster(section: Any, on_event: OnEvent | None = None) -> Iterator[Client]:
    """A client of the cluster that `section` asks for (`address`, `workers`, `memory_gib`); what was started here ends with it.

    `on_event` hears of the cluster's start. ConfigError when it cannot exist here; WorkerLost when it does not answer.
    """
    openers = {"local": _local, "cuda": _cuda, "kubernetes": _kubernetes}
    opener = openers.get(section.address, _address)
    settings = {
        "distributed.nanny.pre-spawn-environ": ONE_THREAD,
        "distributed.comm.timeouts.connect": f"{CONNECT_SECONDS}s",
    }
    with dask.config.set(settings), opener(section) as client, telling(client):
        if on_event:
            workers = len(client.scheduler_info(n_workers=-1)["workers"])
            on_event({"event": "cluster", "cluster": section.address, "workers": workers})
        yield client


@contextmanager
def _local(section: Any) -> Iterator[Client]:
    """Worker processes of one thread each: what they run need not be safe for threads, and cannot outlive this process."""
    with (
        LocalCluster(
            n_workers=section.workers,
            threads_per_worker=1,
            processes=True,
            memory_limit=int(section.memory_gib * GIB),
            dashboard_address="127.0.0.1:0",  # any free port; the default one may belong to another run
            silence_logs=logging.CRITICAL,
            local_directory=str(work_folder("dask")),
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


@contextmanager
def _cuda(section: Any) -> Iterator[Client]:
    """One worker a GPU."""
    try:
        from dask_cuda import LocalCUDACluster  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ConfigError(
            f"cluster.address is 'cuda', and dask-cuda cannot be imported ({error}); pip install 'millrace[gpu]', or use 'local'"
        ) from error
    try:
        cluster = LocalCUDACluster(
            local_directory=str(work_folder("dask")), dashboard_address="127.0.0.1:0", silence_logs=logging.CRITICAL
        )
    except Exception as error:  # pynvml and CUDA raise kinds of their own where there is no GPU
        raise ConfigError(f"cluster.address is 'cuda', and no GPU can be used here ({error}); use 'local'") from error
    with cluster, Client(cluster) as client:
        yield client


@contextmanager
def _kubernetes(section: Any) -> Iterator[Client]:
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
def _address(section: Any) -> Iterator[Client]:
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
