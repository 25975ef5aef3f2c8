"""The peers' own clients, and the OpenAPI document, against the real service; `make conformance` sets up an environment for each peer.

CASES: requests to the document's operations in each of three runs, no two of them alike. REPORTS: a folder for what each run came to.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
from commands import wait_for
from handmade import ITEMS, Running, iris_store, serving
from handmade_images import colour_store
from handmade_lm import lm_store

from tasks.service.keys import create_key

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from environments import python_of  # noqa: E402

CASES = int(os.environ.get("CASES") or 1000)
EXAMPLES = min(
    CASES // 10, 200
)  # of each operation in one pass; a pass with another seed follows until there are enough cases
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
MEMORY, GROWTH = (
    1024,
    64,
)  # mebibytes that all processes may hold, and how many more after all passes than after the first


@dataclass
class Service:
    """The service with three models of three kinds, and a key for all of them."""

    running: Running
    key: str

    @property
    def url(self) -> str:
        return self.running.first_line["url"]

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """The answer to a request with the key; one that came too soon after guesses is sent again."""
        headers = {"authorization": f"Bearer {self.key}"}

        def answer() -> Any:
            response = self.running.client.request(method, path, json=body, headers=headers)
            return response.status_code != 429 and response

        response = wait_for(answer, f"{method} {path}")
        assert response.status_code == 200, response.text
        return response.json()

    def processes(self) -> set[psutil.Process]:
        """The supervisor and what it started."""
        supervisor = psutil.Process(self.running.process.pid)
        return {supervisor, *supervisor.children(recursive=True)}

    def memory(self) -> int:
        """Resident mebibytes of all processes."""
        return sum(process.memory_info().rss for process in self.processes()) // 2**20


@contextmanager
def three_models(folder: Path, with_keys: bool = True) -> Iterator[Service]:
    store, _ = iris_store(folder)
    colour_store(folder)
    lm_store(folder)
    key = create_key(folder / "keys.json", ["predict:*", "feedback:*", "metrics"])
    access = ("--keys", str(folder / "keys.json")) if with_keys else ("--no-auth",)
    with serving(store, folder, *access, "--model", "colours", "--model", "writer") as running:
        yield Service(running, key)


def environment_of(peer: str) -> Path:
    python = python_of(peer)
    if not (python.parents[1] / "whole").exists():
        pytest.skip(f"no environment for {peer} at {python.parents[1]}; `make conformance` sets it up")
    return python


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with three_models(tmp_path_factory.mktemp("conformance")) as service:
        yield service


@pytest.mark.parametrize("peer", ["tensorflow", "triton", "openai"])
def test_a_peer_s_own_client_is_served(service: Service, tmp_path: Path, peer: str) -> None:
    command = [environment_of(peer), "-m", "pytest", "-q", "--noconftest", "-p", "no:cacheprovider", "-c", os.devnull]
    told = {"SERVICE_URL": service.url, "SERVICE_KEY": service.key, "PATH": os.environ["PATH"]}
    ended = subprocess.run(
        [*command, "--rootdir", HERE, HERE / f"with_{peer}.py"],
        env={**told, "PYTHONDONTWRITEBYTECODE": "1"}, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert re.search(r"\d+ passed", ended.stdout)


@dataclass
class Asked:
    """What the passes asked: method, path and status of each case, and those that were unlike all others; memory before and after each pass."""

    answers: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    unlike: set[int] = field(default_factory=set)
    memory: list[int] = field(default_factory=list)

    def add(self, report: Path) -> int:
        """The cases of one pass, from its HTTP archive (HAR 1.2); how many were unlike those before."""
        before = len(self.unlike)
        for entry in json.loads(report.read_text())["log"]["entries"]:
            request = entry["request"]
            self.answers[request["method"], urlsplit(request["url"]).path, entry["response"]["status"]] += 1
            headers = sorted((h["name"], h["value"]) for h in request["headers"] if "TestCaseId" not in h["name"])
            self.unlike.add(hash((request["method"], request["url"], str(headers), str(request.get("postData")))))
        return len(self.unlike) - before

    @property
    def statuses(self) -> Counter[int]:
        found: Counter[int] = Counter()
        for (_, _, status), count in self.answers.items():
            found[status] += count
        return found


def one_pass(folder: Path, url: str, seed: int, *options: str) -> Path:
    """Schemathesis over all operations; fails with what it found. Where it wrote each request and answer."""
    phases = "examples,coverage,fuzzing" if seed == 1 else "fuzzing"  # the first two are the same for every seed
    report = folder / f"{seed}.har"
    command = [environment_of("schemathesis").with_name("st"), "run", "openapi.json", "--url", url, "--checks", CHECKS]
    command += ["--continue-on-failure", "--max-examples", str(EXAMPLES), "--phases", phases, "--seed", str(seed)]
    command += ["--report", "har", "--report-har-path", str(report), "--generation-database", "none", *options]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=3600, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return report


def refused_without_key(document: dict[str, Any], asked: Asked) -> None:
    """Public paths apart nothing is told but that a key is wanted, or that there is no such path or method."""
    operations = document["paths"].items()
    public = {path for path, methods in operations if methods.get("get", {}).get("security") == []}
    fixed = {(method.upper(), path) for path, methods in operations for method in methods if "{" not in path}
    for method, path, status in asked.answers:
        if path not in public:
            allowed = (401, 429) if (method, path) in fixed else (401, 404, 405, 429)
            assert status in allowed, (method, path, status)
    assert asked.statuses[401] > CASES // 2


def ask_until_enough(service: Service, folder: Path, *options: str) -> Asked:
    """Passes, each with a seed of its own, until CASES cases were unlike all others."""
    asked, seed = Asked(memory=[service.memory()]), 0
    while len(asked.unlike) < CASES:
        seed += 1
        added = asked.add(one_pass(folder, service.url, seed, *options))
        assert added, f"found no new case in pass {seed} after {len(asked.unlike)}, wanted {CASES} in all"
        asked.memory.append(service.memory())
    return asked


def report(access: str, asked: Asked, seconds: float) -> str:
    """What a run came to; kept where REPORTS says."""
    told = {"access": access, "cases": asked.answers.total(), "unlike": len(asked.unlike), "seconds": round(seconds, 1)}
    text = json.dumps({**told, "statuses": dict(sorted(asked.statuses.items())), "mebibytes": asked.memory}) + "\n"
    if folder := os.environ.get("REPORTS"):
        (Path(folder) / f"openapi-{access}.json").write_text(text)
    return text


@pytest.mark.parametrize("access", ["with_key", "without_key", "no_auth"])
def test_the_openapi_document_is_true_and_nothing_that_is_asked_breaks_the_service(tmp_path: Path, access: str) -> None:
    environment_of("schemathesis")
    with three_models(tmp_path, with_keys=access != "no_auth") as service:
        document, processes, started = service.ask("GET", "/openapi.json"), service.processes(), time.monotonic()
        (tmp_path / "openapi.json").write_text(json.dumps(document))
        header = ("--header", f"Authorization: Bearer {service.key}", "--generation-with-security-parameters", "false")
        asked = ask_until_enough(service, tmp_path, *(header if access == "with_key" else ()))
        told = report(access, asked, time.monotonic() - started)
        assert max(asked.statuses) < 500, told
        assert processes <= service.processes(), "found a process lost, wanted the same ones as before"
        assert service.ask("POST", "/v1/models/iris:predict", {"instances": ITEMS[:1]}) == {"predictions": ["setosa"]}
        assert max(asked.memory) < MEMORY, told
        assert asked.memory[-1] - asked.memory[1] < GROWTH, told
        if access == "without_key":
            refused_without_key(document, asked)
        else:
            assert not asked.statuses[401], told
            assert asked.statuses[200] > CASES // 10, told
