"""`python tests/benchmarks/bench_install.py`: what it takes to serve one model: our serving image's contents beside LitServe's and BentoML's.

Each in an environment of its own below `--peers`: ours holds what infra/containers/Dockerfile.serve installs and copies, in the locked versions; the
peers their package and onnxruntime. The same small network behind each. One JSON line: packages; megabytes of packages and code without pip;
seconds from the start of the command to the first right answer (median of `--starts`, in turns); MB of memory (proportional set size of the whole process
tree) and processes after 64 answers. `ours_1_worker`: with `--workers 1`, as the peers have one; ours alone asks for a key.
"""

import argparse
import contextlib
import hashlib
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).resolve()
ROOT = HERE.parents[2]
sys.path[:0] = [str(HERE.parents[1]), str(ROOT)]

import psutil  # noqa: E402
from commands import environment, free_port  # noqa: E402
from networks import NAME, artifact, images, released  # noqa: E402
from peers import default_folder, environment_of, first_answer, peer, started, tree  # noqa: E402
from turns import RATE, Side  # noqa: E402

from tasks.service.keys import create_key  # noqa: E402

CONTAINERS = ROOT / "infra/containers"
REQUIREMENTS, LOCK = CONTAINERS / "requirements-serve.txt", ROOT / "requirements.lock"
NOT_COUNTED = ("pip", "setuptools")
ANSWERS = 64  # before memory is read


def main() -> None:
    """Measure, and write the line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, default=default_folder(), help="folder of the environments")
    parser.add_argument("--starts", type=int, default=5)
    arguments = parser.parse_args()
    pythons = {name: environment_of(arguments.peers, name) for name in ("litserve", "bentoml")}
    pythons["ours"] = own_environment(arguments.peers)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        starts = measured(Path(name), arguments, pythons["ours"])
        code = copied(Path(name) / "code")
    sizes = {name: installed(python) for name, python in pythons.items()}
    sizes["ours"]["megabytes"] = round(sizes["ours"]["megabytes"] + megabytes(code), 1)
    line = {side: {**sizes.get(side, {}), **figures} for side, figures in starts.items()}
    print(json.dumps({"benchmark": "install", **line, "total_seconds": round(time.perf_counter() - began, 1)}))  # noqa: T201


def own_environment(folder: Path) -> Path:
    """The environment of our serving image; another one where what it holds has changed."""
    digest = hashlib.sha256(REQUIREMENTS.read_bytes() + LOCK.read_bytes()).hexdigest()[:12]
    return environment_of(folder, f"serve-{digest}", ["-c", str(LOCK), "-r", str(REQUIREMENTS)])


def copied(folder: Path) -> tuple[Path, ...]:
    """The project's own files in `folder`, as the image's Dockerfile copies them; those."""
    for line in (CONTAINERS / "Dockerfile.serve").read_text().splitlines():
        command, *words = line.split() or [""]
        if command != "COPY" or words[0].startswith("--") or words[-1].startswith("/"):
            continue  # from another stage, or only to install by
        *sources, target = words
        for source in sources:
            place = folder / target / Path(source).name if target.endswith("/") else folder / target
            place.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, place, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / source, place)
    return tuple(path for path in folder.rglob("*") if path.is_file())


def installed(python: Path) -> dict[str, Any]:
    """Packages of an environment, and their megabytes."""
    (packages,) = (python.parents[1] / "lib").glob("python*/site-packages")
    names = {path.name.partition("-")[0].lower() for path in packages.glob("*.dist-info")} - set(NOT_COUNTED)
    counted = [path for path in packages.iterdir() if path.name.partition("-")[0] not in NOT_COUNTED]
    files = [file for path in counted for file in ([path] if path.is_file() else path.rglob("*"))]
    return {"packages": len(names), "megabytes": round(megabytes(files), 1)}


def megabytes(files: Any) -> float:
    """Of files; a link counts nothing."""
    return sum(file.stat().st_size for file in files if file.is_file() and not file.is_symlink()) / 1e6


def measured(folder: Path, arguments: argparse.Namespace, python: Path) -> dict[str, dict[str, Any]]:
    """Starts and memory of each side; the first start of each, which compiles, does not count."""
    released(folder, artifact("small"), images(9))
    copied(folder / "image")
    seconds: dict[str, list[float]] = {}
    memory: dict[str, dict[str, float]] = {}
    for number in range(arguments.starts + 1):
        for name in ("ours", "ours_1_worker", "litserve", "bentoml"):
            scratch = folder / f"{name}-{number}"
            scratch.mkdir()
            began = time.perf_counter()
            with serving_side(name, folder, scratch, arguments.peers, python) as side:
                found = first_answer(side.url, {"input_data": images(1)}, side.headers, side.process)
                taken = time.perf_counter() - began
                if len(found) != 1:
                    raise RuntimeError(f"{name}: found {len(found)} predictions, wanted 1")
                memory[name] = memory_after(side)
            if number:
                seconds.setdefault(name, []).append(taken)
    return {
        name: {"start_seconds": round(median(taken), 3), "starts": [round(one, 3) for one in taken], **memory[name]}
        for name, taken in seconds.items()
    }


@contextlib.contextmanager
def serving_side(name: str, folder: Path, scratch: Path, peers: Path, python: Path) -> Iterator[Side]:
    """One of the services over the network in `folder`."""
    if not name.startswith("ours"):
        with peer(peers, name, scratch, PEER_MODEL=str(folder / "made/model.onnx")) as (url, process):
            yield Side(name, url, process)
        return
    port, keys = free_port(), scratch / "keys.json"
    key = create_key(keys, [f"predict:{NAME}"], rate=RATE)
    command = [str(python), "-m", "tasks.service", "--storage", str(folder / "store"), "--model", NAME]
    command += ["--keys", str(keys), "--port", str(port), *(["--workers", "1"] if name == "ours_1_worker" else [])]
    variables = environment(scratch / "root", PYTHONPATH=str(folder / "image"))
    with started(command, scratch / "service.log", variables) as process:
        yield Side(name, f"http://127.0.0.1:{port}/predict", process.pid, {"X-API-Key": key})


def memory_after(side: Side) -> dict[str, float]:
    """Of the whole process tree, after some answers."""
    for image in images(ANSWERS, seed=2):
        first_answer(side.url, {"input_data": [image]}, side.headers, side.process)
    processes = tree(side.process)
    shares = [one.memory_full_info().pss for one in processes if one.status() != psutil.STATUS_ZOMBIE]
    return {"memory_mb": round(sum(shares) / 1e6, 1), "processes": len(processes)}


if __name__ == "__main__":
    main()
