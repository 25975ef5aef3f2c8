"""Clusters: what a local one is like, and what is said where one cannot be had."""

import importlib.util
import os
from functools import partial
from pathlib import Path

import psutil
import pytest
from distributed import LocalCluster

from infra.clusters import open_cluster
from storage.errors import ConfigError, WorkerLost
from storage.surroundings import surrounded
from tasks.sections import ClusterSection


def test_a_local_cluster_is_processes_of_one_thread_that_end_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MILLRACE_ROOT", str(tmp_path / "root"))
    events: list[dict[str, object]] = []
    with open_cluster(ClusterSection(workers=2), events.append) as client:
        pids = set(client.run(os.getpid).values())
        threads = client.run(os.environ.get, "OMP_NUM_THREADS")
        workers = client.scheduler_info(n_workers=-1)["workers"].values()
        assert len(pids) == 2
        assert os.getpid() not in pids
        assert set(threads.values()) == {"1"}
        assert all(worker["nthreads"] == 1 for worker in workers)
        assert all(worker["local_directory"].startswith(str(tmp_path)) for worker in workers)
    assert events == [{"event": "cluster", "cluster": "local", "workers": 2}]
    assert not [pid for pid in pids if psutil.pid_exists(pid)]


def test_workers_elsewhere_are_told_of_the_store_for_as_long_as_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("AWS_REGION", raising=False)
    asked = partial(os.environ.get, "AWS_REGION")
    with LocalCluster(1, threads_per_worker=1, dashboard_address=None, local_directory=str(tmp_path)) as elsewhere:
        section = ClusterSection(address=elsewhere.scheduler_address)
        with surrounded({"AWS_REGION": "eu-central-1"}), open_cluster(section) as client:
            assert client.submit(asked, pure=False).result() == "eu-central-1"
        with open_cluster(section) as client:
            assert client.submit(asked, pure=False).result() is None


def test_an_address_where_nothing_answers_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("infra.clusters.CONNECT_SECONDS", 1)
    with pytest.raises(WorkerLost, match=r"127\.0\.0\.1:9"), open_cluster(ClusterSection(address="tcp://127.0.0.1:9")):
        pass
    with (
        pytest.raises(ConfigError, match="wanted local, cuda, kubernetes"),
        open_cluster(ClusterSection(address="loacl")),
    ):
        pass


@pytest.mark.parametrize("address", ["cuda", "kubernetes"])
def test_a_cluster_whose_extra_is_absent_says_what_to_install(address: str):
    module = {"cuda": "dask_cuda", "kubernetes": "dask_kubernetes"}[address]
    if importlib.util.find_spec(module):
        pytest.skip(f"{module} is installed")
    with pytest.raises(ConfigError, match=r"pip install 'millrace\["), open_cluster(ClusterSection(address=address)):
        pass
