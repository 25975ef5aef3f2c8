"""Dask on Kubernetes: one cluster of pods a run, made by the Dask operator of the current context."""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from infra.dask_settings import ENVIRONMENT, as_variables
from storage.errors import ConfigError

DEFAULT_WORKERS = 2
DEFAULT_GIB = 4.0
IDLE_SECONDS = 900  # the operator removes a cluster whose run was killed
START_SECONDS = 300  # an image of a gigabyte has to be fetched


@contextmanager
def pods(section: Any) -> Iterator[Any]:
    """dask-kubernetes' cluster of `section.workers` pods, or of up to `section.max_workers` as the work asks for; removed at the end.

    ConfigError when it cannot be had.
    """
    least, most = workers(section)
    operator = _operator()
    if not section.image:
        raise ConfigError(
            "cluster.address is 'kubernetes', and cluster.image is empty; give an image with this Millrace in it (infra/containers)"
        )
    try:
        cluster = operator.KubeCluster(
            namespace=section.namespace or None,
            custom_cluster_spec=cluster_spec(section, f"millrace-{uuid4().hex[:8]}"),
            resource_timeout=START_SECONDS,
            quiet=True,
        )
    except Exception as error:  # every client library below raises its own
        operator.KubeCluster._instances.clear()  # or it would be closed at exit, with a traceback; the operator removes an idle one
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise ConfigError(
            f"cluster.address is 'kubernetes', and no cluster could be made ({reason}); check `kubectl config current-context`, and that the "
            "Dask operator is installed"
        ) from error
    with cluster:
        if most > least:
            cluster.adapt(minimum=least, maximum=most)  # the operator's autoscaler, which goes with the cluster
        yield cluster


def workers(section: Any) -> tuple[int, int]:
    """The least and the greatest number of pods. ConfigError where these are the wrong way round."""
    least = section.workers or DEFAULT_WORKERS
    most = section.max_workers or least
    if most < least:
        raise ConfigError(
            f"cluster.max_workers: found {most}, wanted at least cluster.workers, which is {least}; raise the one or lower the other"
        )
    return least, most


def cluster_spec(section: Any, name: str) -> dict[str, Any]:
    """The `DaskCluster` resource for `section`: dask-kubernetes' own, with today's commands, the secret, and no privileges."""
    memory, cpus = f"{section.memory_gib or DEFAULT_GIB:g}Gi", f"{section.cpus:g}"
    spec = _operator().make_cluster_spec(
        name=name,
        image=section.image,
        n_workers=workers(section)[0],
        resources={"limits": {"memory": memory}, "requests": {"memory": memory, "cpu": cpus}},
        env={**ENVIRONMENT, **as_variables()},
        worker_command=["dask", "worker", "--nthreads", "1"],
        idle_timeout=IDLE_SECONDS,
    )
    spec["spec"]["scheduler"]["spec"]["containers"][0]["args"][0:1] = ["dask", "scheduler"]  # dask-scheduler is gone
    for role in ("scheduler", "worker"):
        pod = spec["spec"][role]["spec"]
        pod["securityContext"] = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
        pod["automountServiceAccountToken"] = False
        for container in pod["containers"]:
            container["securityContext"] = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
            if section.secret:
                container["envFrom"] = [{"secretRef": {"name": section.secret}}]
    return spec


def _operator() -> Any:
    """dask-kubernetes, by its name: whether it is installed here decides no result, and so is no part of a step's key."""
    try:
        return importlib.import_module("dask_kubernetes.operator")
    except ImportError as error:
        raise ConfigError(
            f"cluster.address is 'kubernetes', and dask-kubernetes cannot be imported ({error}); pip install 'millrace[kubernetes]'"
        ) from error
