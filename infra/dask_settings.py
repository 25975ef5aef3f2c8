"""How Dask is set up wherever its scheduler and workers are ours: for tasks of seconds that keep what they make in the store.

Dask's own settings are for tasks of milliseconds whose results stay in the workers' memory.
"""

from typing import Any

# One thread a worker, in each library too. Memory that was freed is kept for the next column or shard: given back at once, as Dask would
# have it (64 kB), 200,000 rows of CSV took 47,000 page faults instead of 9,000, and a sixth more of the processor; the peak is the same.
ENVIRONMENT = {
    **dict.fromkeys(
        ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS", "ARROW_NUM_THREADS"), "1"
    ),
    "MALLOC_TRIM_THRESHOLD_": str(256 << 20),
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),  # mallopt(3): the most that it takes
}
SETTINGS: dict[str, Any] = {
    "distributed.nanny.pre-spawn-environ": ENVIRONMENT,
    # A sample of every thread's stack each 10 ms, a tick each 20 ms, and the system's counters each 500 ms took 6 % of a processor in the
    # scheduler and 4 % in each worker while nothing was done; like this 1 % and 0.4 %.
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.system-monitor.interval": "2s",
    "distributed.admin.system-monitor.disk": False,
    "distributed.admin.system-monitor.gil.enabled": False,
    "distributed.scheduler.active-memory-manager.start": False,  # there are no copies of results to be dropped
    "distributed.scheduler.worker-saturation": 1.0,  # no task waits at a worker, where it would be blamed for that one's death
    "distributed.scheduler.no-workers-timeout": "60s",
    # A worker that dies is started again by its nanny. One that is just down for the second time 15 s after the first would, as Dask is set,
    # not come back ever (distributed.deploy.spec, `_update_worker_status`), and in the end none would be left.
    "distributed.deploy.lost-worker-timeout": "365 days",
    # Results are a few numbers, and go to the worker's folder beyond 60 % of its memory. What a worker holds beside them is the shard at
    # hand: waiting gives none of that back, so nobody is paused; beyond 95 % the worker starts anew, and the shard is begun again.
    "distributed.worker.memory.target": 0.6,
    "distributed.worker.memory.spill": 0.7,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": 0.95,
    "distributed.worker.memory.monitor-interval": "250ms",
}


def as_variables() -> dict[str, str]:
    """The settings as the environment variables that Dask reads at its start (its documentation, "Configuration")."""
    return {
        f"DASK_{name.upper().replace('.', '__').replace('-', '_')}": _text(value) for name, value in SETTINGS.items()
    }


def _text(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)
