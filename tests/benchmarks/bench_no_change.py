"""`python tests/benchmarks/bench_no_change.py`: `millrace run` that finds everything, beside `dvc repro` without a change.

The same table through the same five stages (prepare, train, compress, evaluate, release), whole processes, in turns, the median of five.
`--dvc PROGRAM`: a dvc of an environment of its own; without one it is installed into a temporary environment. One JSON line: seconds of
each, their ratio, and, against a Prefect server that runs, a fully cached run beside an empty flow.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))  # the tests' own modules, wherever this is started

from commands import free_port, wait_for  # noqa: E402
from tables import write_csv  # noqa: E402

TURNS = 5
STAGES = ("prepare", "train", "compress", "evaluate", "release")
MILLRACE = (sys.executable, "-m", "flows.cli")
CONFIG = """
name: table
data: {sources: [{url: table.csv}], format: csv, kind: table, target: label}
train: {family: mlp, epochs: 5}
evaluate: {metric: accuracy, minimum: 0.1, margin: 0.5}
"""
EMPTY_FLOW = "from prefect import flow\n@flow\ndef empty():\n    pass\nempty()\n"


def main() -> None:
    """Measure, and write the line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--dvc", default="")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        dvc = arguments.dvc or _installed_dvc(folder / "peer")
        ours, peer = _ours(folder / "ours"), _peer(folder / "peer-pipeline", dvc)
        seconds: dict[str, list[float]] = {"millrace_run": [], "dvc_repro": []}
        for _ in range(TURNS):
            seconds["millrace_run"].append(_seconds([*MILLRACE, "run", "--config", "table.yaml"], *ours))
            seconds["dvc_repro"].append(_seconds([dvc, "repro"], *peer))
        line = {name: round(median(values), 3) for name, values in seconds.items()}
        line["ours_over_peer"] = round(line["millrace_run"] / line["dvc_repro"], 3)
        line |= _beside_a_server(folder, *ours)
    sys.stdout.write(json.dumps({"benchmark": "no_change", **line}) + "\n")


def _ours(folder: Path) -> tuple[Path, dict[str, str]]:
    """A folder in which a run finds everything."""
    folder.mkdir()
    write_csv(folder / "table.csv")
    (folder / "table.yaml").write_text(CONFIG)
    environment = {**os.environ, "MILLRACE_ROOT": str(folder / "root"), "PYTHONPATH": str(HERE.parent.parent)}
    environment.pop("PREFECT_API_URL", None)
    for _ in range(2):  # the second remembers what the first has settled
        _done([*MILLRACE, "run", "--config", "table.yaml"], folder, environment)
    return folder, environment


def _peer(folder: Path, dvc: str) -> tuple[Path, dict[str, str]]:
    """A pipeline of five stages of the same names over the same table, reproduced once."""
    folder.mkdir()
    write_csv(folder / "data.csv")
    (folder / "step.py").write_text(
        "import sys; open(sys.argv[2], 'w').write(open(sys.argv[1]).read() + sys.argv[2])\n"
    )
    environment = {**os.environ, "DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": str(folder / "cache")}
    for arguments in (["init", "--no-scm", "-q"], ["config", "core.check_update", "false"]):
        _done([dvc, *arguments], folder, environment)
    before, text = "data.csv", "stages:\n"
    for stage in STAGES:
        after = f"{stage}.out"
        text += f"  {stage}:\n    cmd: {sys.executable} step.py {before} {after}\n"
        text += f"    deps: [step.py, {before}]\n    outs: [{after}]\n"
        before = after
    (folder / "dvc.yaml").write_text(text)
    _done([dvc, "repro", "-q"], folder, environment)
    return folder, environment


def _beside_a_server(folder: Path, home: Path, environment: Mapping[str, str]) -> dict[str, float]:
    """Against a Prefect server that runs: seconds of a fully cached run, of an empty flow, and the difference."""
    port = free_port()
    variables = {**environment, "PREFECT_HOME": str(folder / "prefect"), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    served = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with subprocess.Popen(served, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            asking = {**variables, "PREFECT_API_URL": f"http://127.0.0.1:{port}/api", "PREFECT_LOGGING_LEVEL": "ERROR"}
            wait_for(lambda: _answers(port), "the Prefect server")
            run, empty = [*MILLRACE, "run", "--config", "table.yaml"], [sys.executable, "-c", EMPTY_FLOW]
            _done(run, home, asking)
            turns = [(_seconds(run, home, asking), _seconds(empty, home, asking)) for _ in range(TURNS)]
        finally:
            server.terminate()
    cached, nothing = (median(times) for times in zip(*turns, strict=True))
    return {
        "cached_run_on_server": round(cached, 3),
        "empty_flow_on_server": round(nothing, 3),
        "difference": round(cached - nothing, 3),
    }


def _answers(port: int) -> bool:
    import urllib.request

    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/api/health", timeout=2).close()
    except OSError:
        return False
    return True


def _installed_dvc(folder: Path) -> str:
    """A dvc in an environment of its own."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    subprocess.run([folder / "bin" / "pip", "install", "--quiet", "dvc"], check=True)
    return str(folder / "bin" / "dvc")


def _seconds(argv: list[str], folder: Path, environment: Mapping[str, str]) -> float:
    started = time.perf_counter()
    _done(argv, folder, environment)
    return time.perf_counter() - started


def _done(argv: list[str], folder: Path, environment: Mapping[str, str]) -> None:
    done = subprocess.run(argv, cwd=folder, env=dict(environment), capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{argv}: exit {done.returncode}\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    main()
