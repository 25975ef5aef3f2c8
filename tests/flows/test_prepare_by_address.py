"""Stage prepare on a scheduler that somebody else runs: the same digest, with TLS too, and each mistake told in one line within seconds."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from certificates import make_authority
from commands import ROOT, environment, free_port, wait_for
from distributed import Client
from odd_workers import odd
from tables import csv_section, write_csv

from infra.agreement import Outfit, Work, outfit
from infra.clusters import open_cluster
from storage.errors import ConfigError, WorkerLost
from storage.objects import open_store
from tasks.frames.identity import identified
from tasks.frames.prepare import prepare_dataset
from tasks.sections import ClusterSection

CODE = "tasks.frames.prepare"
OPTIONS = {"tls_ca": "--tls-ca-file", "tls_cert": "--tls-cert", "tls_key": "--tls-key"}


@contextmanager
def running(folder: Path, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    """A program of Dask's while the block lasts."""
    with (folder / "dask.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *command], env=environment(folder), cwd=folder, stdout=log, stderr=log
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module", params=["tcp", "tls"])
def elsewhere(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterSection]:
    """A scheduler and a worker, each a process of its own, as `dask scheduler` and `dask worker` start them."""
    folder = tmp_path_factory.mktemp(request.param)
    files = make_authority(folder / "ours") if request.param == "tls" else {}
    options = [word for field, path in files.items() for word in (OPTIONS[field], path)]
    host, port = f"{request.param}://127.0.0.1", str(free_port())
    scheduler = ["distributed.cli.dask_scheduler", "--host", host, "--port", port, "--no-dashboard"]
    worker = ["distributed.cli.dask_worker", f"{host}:{port}", "--nthreads", "1", "--no-dashboard"]
    with running(folder, *scheduler, *options), running(folder, *worker, *options):
        wait_for(lambda: "Registered to" in (folder / "dask.log").read_text(), "the worker")
        yield ClusterSection.model_validate({"address": f"{host}:{port}", **files})


def prepared(cluster: ClusterSection, folder: Path) -> str:
    (folder / "rows.csv").exists() or write_csv(folder / "rows.csv")
    store = open_store(str(folder / cluster.address.partition(":")[0]))
    work = Work(CODE, store.url)
    data = csv_section(folder)
    return prepare_dataset(data, identified(data), store, lambda: open_cluster(cluster, work=work), lambda event: None)


@pytest.fixture(scope="module")
def local_digest(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("local")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MILLRACE_ROOT", str(folder / "root"))
        return prepared(ClusterSection(workers=1), folder)


@pytest.mark.parametrize("elsewhere", ["tls"], indirect=True)  # without it: tests/e2e/test_the_same_everywhere.py
def test_the_digest_is_that_of_a_local_cluster(elsewhere: ClusterSection, local_digest: str, tmp_path: Path):
    assert prepared(elsewhere, tmp_path) == local_digest


def test_the_other_protocol_is_named(elsewhere: ClusterSection, tmp_path: Path):
    plain = elsewhere.address.startswith("tcp")
    address = elsewhere.address.replace(*(("tcp", "tls") if plain else ("tls", "tcp")), 1)
    files = make_authority(tmp_path / "any") if plain else {}
    wanted = "use tcp:// if it is a plain scheduler" if plain else "wants TLS; use tls://"
    with pytest.raises(ConfigError, match=wanted), open_cluster(ClusterSection(address=address, **files)):
        pass


@pytest.mark.parametrize("elsewhere", ["tls"], indirect=True)
def test_certificates_that_do_not_fit_are_told_apart(elsewhere: ClusterSection, tmp_path: Path):
    address, theirs = elsewhere.address, make_authority(tmp_path / "theirs")
    locked = tmp_path / "locked.pem"
    locked.write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\n")
    for changed, message in {
        ("tls_ca",): "not by the authority in cluster.tls_ca",
        ("tls_cert", "tls_key"): "refuses the certificate in cluster.tls_cert",
        ("tls_key",): "cannot be used together",
    }.items():
        section = elsewhere.model_copy(update={field: theirs[field] for field in changed})
        with pytest.raises(ConfigError, match=message), open_cluster(section):
            pass
    for files, message in {
        (): "found no certificates; set cluster.tls_ca",
        (("tls_ca", str(tmp_path / "absent.pem")),): "cluster.tls_ca: .*absent.pem cannot be read: No such file",
        (("tls_key", str(locked)),): "has a passphrase",
        (("tls_cert", str(ROOT / "LICENSE")),): "holds no PEM",
    }.items():
        with pytest.raises(ConfigError, match=message), open_cluster(ClusterSection(address=address, **dict(files))):
            pass


OTHER_DASK = """
import distributed.versions as v
v._version_cached = lambda name, real=v._version_cached: '0.1' if name == 'dask' else real(name)
"""
FORGET = "for name in list(sys.modules):\n    name.partition('.')[0] in ('tasks', 'infra', 'storage') and sys.modules.pop(name)\n"


@pytest.fixture
def other_code(tmp_path: Path) -> str:
    """What makes a process take the project from a copy with one line changed."""
    for package in ("tasks", "infra", "storage"):
        shutil.copytree(ROOT / package, tmp_path / "copy" / package, ignore=shutil.ignore_patterns("__pycache__"))
    shards = tmp_path / "copy" / "tasks" / "frames" / "shards.py"
    shards.write_text(shards.read_text().replace("INLINE_BYTES = 4096", "INLINE_BYTES = 4097"))
    return f"import sys\nsys.path.insert(0, {str(tmp_path / 'copy')!r})\n{FORGET}"


@pytest.fixture
def other_library(tmp_path: Path) -> str:
    """What makes a process find another version of pyarrow installed."""
    info = tmp_path / "library" / "pyarrow-0.1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Name: pyarrow\nVersion: 0.1\n")
    (info / "top_level.txt").write_text("pyarrow\n")
    return f"import sys\nsys.path.insert(0, {str(tmp_path / 'library')!r})\n"


def test_a_worker_that_would_do_the_work_otherwise_is_refused(tmp_path: Path, other_code: str, other_library: str):
    """One worker, made worse from case to case: the fault that is looked at first comes last."""
    with odd("", tmp_path) as section:
        for mischief, message in {
            other_code: "has other code of Millrace than this run",
            other_library: r"has pyarrow 0\.1, wanted \d.* as here",
            OTHER_DASK: r"has dask 0\.1, wanted",
            f"import sys\n{FORGET}sys.modules['infra'] = None": r"cannot begin the work \(.*No module named",
        }.items():
            with open_cluster(section) as client:
                client.run(exec, mischief)
            with (
                pytest.raises(ConfigError, match=message),
                open_cluster(section, work=Work(CODE, str(tmp_path / "store"))),
            ):
                pass


def test_a_worker_that_sees_another_store_is_refused(tmp_path: Path):
    with (
        odd("", tmp_path) as section,
        pytest.raises(
            ConfigError, match=r"cannot use the store memory://mine: .*what was just written; a folder must be shared"
        ),
        open_cluster(section, work=Work(CODE, "memory://mine")),
    ):
        pass


def test_a_folder_that_is_not_shared_is_not_made_by_asking(tmp_path: Path):
    assert isinstance(found := outfit(Work(CODE, str(tmp_path / "absent")), "probes/x"), Outfit)
    assert "does not see that folder" in found.store_fault
    assert not (tmp_path / "absent").exists()


def test_a_scheduler_without_workers_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("infra.clusters.WORKER_SECONDS", 1)
    events: list[dict[str, object]] = []
    with (
        odd("", tmp_path, worker=False) as section,
        pytest.raises(ConfigError, match=r"no worker has joined tcp://.* start some with `dask worker"),
        open_cluster(section, events.append),
    ):
        pass
    assert [event["event"] for event in events] == ["no worker yet"]


def test_work_whose_workers_have_all_gone_does_not_wait_for_ever(tmp_path: Path):
    write_csv(tmp_path / "rows.csv", rows=2000)
    impatient = "import dask; dask.config.set({'distributed.scheduler.no-workers-timeout': '1s'})"
    with odd(impatient, tmp_path, worker=False) as section:
        command = ("distributed.cli.dask_worker", section.address, "--nthreads", "1", "--no-dashboard", "--no-nanny")
        with running(tmp_path, *command) as worker:
            wait_for(lambda: "Registered to" in (tmp_path / "dask.log").read_text(), "the worker")

            def kill(event: dict[str, object]) -> None:
                if event["done"] >= 1:
                    worker.kill()

            data, store = csv_section(tmp_path), open_store(str(tmp_path / "store"))
            with pytest.raises(WorkerLost, match="the Dask cluster lost the work"):
                prepare_dataset(data, identified(data), store, lambda: open_cluster(section), kill)


@contextmanager
def scheduler_with_worker(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A scheduler with a worker at that port of this machine; gives the scheduler's process."""
    folder.mkdir()
    address = f"tcp://127.0.0.1:{port}"
    place = ("--host", "tcp://127.0.0.1", "--port", str(port), "--no-dashboard")
    worker = ("distributed.cli.dask_worker", address, "--nthreads", "1", "--no-dashboard")
    with running(folder, "distributed.cli.dask_scheduler", *place) as scheduler, running(folder, *worker):
        wait_for(lambda: "Registered to" in (folder / "dask.log").read_text(), "the worker")
        yield scheduler


def test_a_scheduler_killed_in_mid_work_is_told_and_the_next_one_ends_what_was_begun(tmp_path: Path, local_digest: str):
    write_csv(tmp_path / "rows.csv")
    store, port = open_store(str(tmp_path / "store")), free_port()
    cluster = ClusterSection(address=f"tcp://127.0.0.1:{port}")
    work = Work(CODE, store.url)

    def prepare(report: Callable[[dict[str, Any]], None]) -> str:
        data = csv_section(tmp_path)
        return prepare_dataset(data, identified(data), store, lambda: open_cluster(cluster, work=work), report)

    with scheduler_with_worker(tmp_path / "first", port) as scheduler:

        def kill(event: dict[str, Any]) -> None:
            if event.get("done") == 1:
                scheduler.kill()

        with pytest.raises(WorkerLost, match="the Dask cluster lost the work"):
            prepare(kill)
        with pytest.raises(
            WorkerLost, match=r"no Dask scheduler answers at tcp://.*; start it, correct cluster\.address"
        ):
            prepare(kill)
    with scheduler_with_worker(tmp_path / "second", port):
        assert prepare(lambda event: None) == local_digest


def test_the_client_goes_and_the_scheduler_stays(elsewhere: ClusterSection):
    for _ in range(2):
        with open_cluster(elsewhere) as client:
            assert isinstance(client, Client)
            assert client.submit(abs, -3).result() == 3
