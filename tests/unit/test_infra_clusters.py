"""Clusters: what a local one is like, and what is said where one cannot be had."""

import importlib.util
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from commands import environment, gone, wait_for
from distributed import LocalCluster

from flows.settings import resolve
from infra.clusters import GIB, open_cluster, size
from infra.machine import has_cuda
from storage.errors import ConfigError
from storage.surroundings import surrounded
from tasks.sections import ClusterSection


def test_a_local_cluster_is_processes_of_one_thread_that_end_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MILLRACE_ROOT", str(tmp_path / "root"))
    events: list[dict[str, object]] = []
    with open_cluster(ClusterSection(workers=2), events.append) as client:
        pids = set(client.run(os.getpid).values())
        threads = client.run(os.getenv, "OMP_NUM_THREADS")  # os.environ itself would travel along
        workers = client.scheduler_info(n_workers=-1)["workers"].values()
        assert len(pids) == 2
        assert os.getpid() not in pids
        assert set(threads.values()) == {"1"}
        assert all(worker["nthreads"] == 1 for worker in workers)
        assert all(worker["local_directory"].startswith(str(tmp_path)) for worker in workers)
    assert events == [{"event": "cluster", "cluster": "local", "workers": 2}]
    wait_for(lambda: all(map(gone, pids)), "the workers' end")


def test_a_dashboard_is_offered_to_this_machine_alone_where_bokeh_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    pytest.importorskip("bokeh", reason="needs bokeh: pip install bokeh")
    monkeypatch.setenv("MILLRACE_ROOT", str(tmp_path / "root"))
    events: list[dict[str, str]] = []
    with open_cluster(ClusterSection(workers=1), events.append):
        link = events[0]["dashboard"]
        assert link.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(link, timeout=30) as answer:
            assert b"bokeh" in answer.read()


def test_temporary_files_below_a_long_path_are_no_hindrance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    monkeypatch.setenv("TMPDIR", str(deep))
    monkeypatch.setenv("MILLRACE_ROOT", str(tmp_path / "root"))
    with open_cluster(ClusterSection(workers=1)) as client:
        assert client.submit(abs, -7, pure=False).result() == 7


def test_workers_elsewhere_are_told_of_the_store_for_as_long_as_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("AWS_REGION", raising=False)
    asked = partial(os.getenv, "AWS_REGION")
    with LocalCluster(1, threads_per_worker=1, dashboard_address=None, local_directory=str(tmp_path)) as elsewhere:
        section = ClusterSection(address=elsewhere.scheduler_address)
        with surrounded({"AWS_REGION": "eu-central-1"}), open_cluster(section) as client:
            assert client.submit(asked, pure=False).result() == "eu-central-1"
        with open_cluster(section) as client:
            assert client.submit(asked, pure=False).result() is None


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("tcp://127.0.0.1:9", r"no Dask scheduler answers at tcp://127\.0\.0\.1:9 .*start it"),
        ("tcp://no-such-host.invalid:8786", "no Dask scheduler answers"),
        ("tcp://127.0.0.1:x", "is no scheduler's address"),
        ("xyz://127.0.0.1:1", "unknown address scheme 'xyz'"),
        ("loacl", "wanted local, cuda, kubernetes"),
    ],
)
def test_an_address_where_nothing_answers_is_named(address: str, message: str):
    with pytest.raises(ConfigError, match=message), open_cluster(ClusterSection(address=address)):
        pass


def test_a_key_itself_is_no_setting_and_is_not_repeated():
    with pytest.raises(ConfigError, match=r"cluster\.tls_key: .*wanted the path of a file") as found:
        resolve("digits", None, {"cluster.tls_key": "-----BEGIN PRIVATE KEY-----\nMC4CAQ"})
    assert "MC4CAQ" not in str(found.value)


@pytest.mark.parametrize("address", ["cuda", "kubernetes"])
def test_a_cluster_whose_extra_is_absent_says_what_to_install(address: str):
    module = {"cuda": "dask_cuda", "kubernetes": "dask_kubernetes"}[address]
    if importlib.util.find_spec(module):
        pytest.skip(f"{module} is installed")
    with pytest.raises(ConfigError, match=r"pip install 'millrace\["), open_cluster(ClusterSection(address=address)):
        pass


WITHOUT_GUARD = """
import json, os, sys, psutil
from infra.clusters import open_cluster
from tasks.sections import ClusterSection

with open_cluster(ClusterSection(workers=2)) as client:
    family = psutil.Process().children(recursive=True)
    heard = [c.laddr for p in family for c in p.net_connections() if c.status == psutil.CONN_LISTEN]
    places = {place.ip for place in heard} | {place.port for place in heard if place.port == 8787}
    print(json.dumps({"answer": client.submit(abs, -7).result(), "family": [p.pid for p in family], "at": sorted(places, key=str)}), flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def script(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A user's script without `if __name__ == "__main__"`, that opens a cluster and holds it until its input ends."""
    (tmp_path / "mine.py").write_text(WITHOUT_GUARD)
    process = subprocess.Popen(
        [sys.executable, str(tmp_path / "mine.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment(tmp_path / "root"),
    )
    yield process
    process.kill()
    process.communicate()


def said(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    assert process.stdout
    return json.loads(process.stdout.readline())


def test_a_script_without_a_main_guard_opens_a_cluster_that_is_seen_by_this_machine_alone(
    script: subprocess.Popen[bytes],
):
    state = said(script)
    assert (state["answer"], state["at"]) == (7, ["127.0.0.1"])
    script.communicate(b"")
    assert script.returncode == 0
    wait_for(lambda: all(map(gone, state["family"])), "the cluster's end")


def test_a_killed_run_leaves_no_process_and_no_folder_of_its_cluster(script: subprocess.Popen[bytes], tmp_path: Path):
    family = said(script)["family"]
    assert len(family) >= 4  # the helper, what it forks workers from, and two workers
    script.kill()
    wait_for(lambda: all(map(gone, family)), "the cluster's end")
    assert list((tmp_path / "root" / "work" / "scratch").iterdir()) == []


def test_a_cluster_is_sized_to_the_machine_unless_it_is_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("infra.clusters.processors", lambda: 8)
    monkeypatch.setattr("infra.clusters.memory_bytes", lambda: 16 * GIB)
    assert size(ClusterSection()) == (8, 1.5 * GIB)
    assert size(ClusterSection(workers=3)) == (3, 4 * GIB)
    assert size(ClusterSection(memory_gib=6)) == (2, 6 * GIB)
    assert size(ClusterSection(workers=2, memory_gib=100)) == (2, 100 * GIB)
    monkeypatch.setattr("infra.clusters.memory_bytes", lambda: GIB)
    assert size(ClusterSection()) == (1, 0.75 * GIB)


@pytest.mark.parametrize("section", [{"memory_gib": 0.2}, {"workers": 100}])
def test_workers_with_too_little_memory_to_begin_are_refused_rather_than_waited_for(
    section: dict[str, Any], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("infra.clusters.memory_bytes", lambda: 16 * GIB)
    with pytest.raises(ConfigError, match=r"wanted at least 0\.5; raise cluster\.memory_gib or lower cluster\.workers"):
        size(ClusterSection(**section))


def test_without_a_gpu_cuda_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch):
    if has_cuda():
        pytest.skip("there is a GPU here")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    with (
        pytest.raises(ConfigError, match="lists no GPU here; use 'local'"),
        open_cluster(ClusterSection(address="cuda")),
    ):
        pass


def test_a_cluster_of_gpus_has_a_worker_for_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    if not has_cuda():
        pytest.skip("no GPU here: nvidia-smi lists none")
    pytest.importorskip("dask_cuda", reason="needs dask-cuda: pip install 'millrace[gpu]'")
    monkeypatch.setenv("MILLRACE_ROOT", str(tmp_path))
    gpus = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=True).stdout.count("GPU ")
    with open_cluster(ClusterSection(address="cuda")) as client:
        first = {devices.split(",")[0] for devices in client.run(os.getenv, "CUDA_VISIBLE_DEVICES").values()}
        sums = client.run(eval, "__import__('torch').ones(2, 3, device='cuda').sum().item()")
    assert len(first) == len(sums) == gpus
    assert set(sums.values()) == {6.0}
