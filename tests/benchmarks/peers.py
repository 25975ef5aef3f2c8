"""The peers of the benchmarks: each in an environment of its own, which is made once; and servers as processes."""

import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
from commands import environment, free_port

from storage.root import work_folder

HERE = Path(__file__).resolve().parent
REQUIREMENTS = {
    "flask": ["flask", "onnxruntime"],
    "litserve": ["litserve", "onnxruntime"],
    "bentoml": ["bentoml", "onnxruntime"],
    "flask_torch": ["flask"],  # torch and what it needs: the project's own
}
START_SECONDS = 90.0
INSTALL_SECONDS = 900


def default_folder() -> Path:
    """Where environments are kept between runs."""
    return work_folder("peers")


def environment_of(folder: Path, name: str, install: Sequence[str] = ()) -> Path:
    """The Python of the environment `name` in `folder`; made, where it is not whole, with `install` or the peer's requirements."""
    place = (folder / name).absolute()
    whole = place / "whole"
    if not whole.exists():
        shutil.rmtree(place, ignore_errors=True)
        sys.stderr.write(f"installing {name} into {place}\n")
        subprocess.run([sys.executable, "-m", "venv", place], check=True, timeout=INSTALL_SECONDS)
        pip = [place / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *(install or REQUIREMENTS[name])], check=True, timeout=INSTALL_SECONDS)
        if name == "flask_torch":
            paths = sysconfig.get_paths(vars={"base": str(place), "platbase": str(place)})
            (Path(paths["purelib"]) / "project.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
        whole.touch()
    return place / "bin/python"


def command_of(python: Path, name: str, port: int, workers: int = 1) -> list[str]:
    """How the peer is started, as its documentation says."""
    if name.startswith("flask"):
        return [str(python), "-m", "flask", "--app", f"peer_{name}", "run", "--port", str(port), "--with-threads"]
    if name == "litserve":
        return [str(python), str(HERE / "peer_litserve.py"), str(port), str(workers)]
    return [
        str(python),
        "-m",
        "bentoml",
        "serve",
        "peer_bentoml:Digits",
        "--port",
        str(port),
        "--working-dir",
        str(HERE),
    ]


@contextmanager
def started(command: Sequence[str], log: Path, variables: Mapping[str, str]) -> Iterator[psutil.Process]:
    """A server as a process; at the end it and all that it started are killed. A RuntimeError of the block tells how its log ends."""
    with log.open("w") as file:
        process = psutil.Popen(list(command), stdout=file, stderr=file, env=dict(variables), cwd=HERE)
    try:
        yield process
    except RuntimeError as error:
        raise RuntimeError(f"{error}; its log ends: {log.read_text()[-2000:]}") from error
    finally:
        for one in tree(process.pid):
            one.kill()
        process.wait()


@contextmanager
def peer(folder: Path, name: str, scratch: Path, workers: int = 1, **variables: str) -> Iterator[tuple[str, int]]:
    """URL and process of a peer that listens."""
    port, label = free_port(), f"{name}{workers}"
    home = scratch / label
    home.mkdir()
    told = environment(home, BENTOML_HOME=str(home), BENTOML_DO_NOT_TRACK="True", HOME=str(home), **variables)
    told["PYTHONPATH"] += f":{HERE}"
    command = command_of(environment_of(folder, name), name, port, workers)
    with started(command, scratch / f"{label}.log", told) as process:
        yield f"http://127.0.0.1:{port}/predict", process.pid


def tree(process: int) -> list[psutil.Process]:
    """A process and all below it."""
    try:
        top = psutil.Process(process)
        return [top, *top.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def first_answer(url: str, body: Any, headers: Mapping[str, str], process: int) -> list[Any]:
    """The predictions for `body`, asked until they come. RuntimeError where the server ends, or takes too long."""
    end = time.monotonic() + START_SECONDS
    with httpx.Client(headers=dict(headers), timeout=30, trust_env=False) as client:
        while time.monotonic() < end:
            if not psutil.pid_exists(process) or psutil.Process(process).status() == psutil.STATUS_ZOMBIE:
                raise RuntimeError(f"{url}: the server ended before it answered")
            try:
                response = client.post(url, json=body)
                if response.status_code == 200:
                    told = response.json()
                    return told["prediction"] if isinstance(told, dict) else told
            except httpx.TransportError:
                pass
            time.sleep(0.01)
    raise RuntimeError(f"{url}: no answer in {START_SECONDS:g} s")
