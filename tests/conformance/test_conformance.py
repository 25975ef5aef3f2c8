"""The peers' own clients against the real service, each in an environment of its own: `make conformance` sets them up."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from handmade import Running, iris_store, serving
from handmade_images import colour_store
from handmade_lm import lm_store

from tasks.service.keys import create_key

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from environments import python_of  # noqa: E402

CASES = int(os.environ.get("CASES") or 1000)  # about so many requests to the document's paths, with a key and without
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, str]]:
    """Three models of three kinds, and a key for all of them."""
    folder = tmp_path_factory.mktemp("conformance")
    store, _ = iris_store(folder)
    colour_store(folder)
    lm_store(folder)
    key = create_key(folder / "keys.json", ["predict:*", "feedback:*", "metrics"])
    with serving(
        store, folder, "--keys", str(folder / "keys.json"), "--model", "colours", "--model", "writer"
    ) as running:
        yield running, key


def environment_of(peer: str) -> Path:
    python = python_of(peer)
    if not (python.parents[1] / "whole").exists():
        pytest.skip(f"no environment for {peer} at {python.parents[1]}; `make conformance` sets it up")
    return python


@pytest.mark.parametrize("peer", ["triton", "openai"])
def test_a_peer_s_own_client_is_served(service: tuple[Running, str], tmp_path: Path, peer: str) -> None:
    running, key = service
    command = [environment_of(peer), "-m", "pytest", "-q", "--noconftest", "-p", "no:cacheprovider", "-c", os.devnull]
    told = {"SERVICE_URL": running.first_line["url"], "SERVICE_KEY": key, "PATH": os.environ["PATH"]}
    ended = subprocess.run(
        [*command, "--rootdir", HERE, HERE / f"with_{peer}.py"],
        env={**told, "PYTHONDONTWRITEBYTECODE": "1"}, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert re.search(r"\d+ passed", ended.stdout)


@pytest.mark.parametrize("with_key", [True, False])
def test_the_openapi_document_is_true(service: tuple[Running, str], tmp_path: Path, with_key: bool) -> None:
    running, key = service
    document = running.client.get("/openapi.json", headers={"x-api-key": key})
    (tmp_path / "openapi.json").write_bytes(document.content)
    command = [environment_of("schemathesis").with_name("st"), "run", "openapi.json", "--checks", CHECKS]
    command += [
        "--continue-on-failure",
        "--url",
        running.first_line["url"],
        "--max-examples",
        str(CASES // 10),
        "--phases",
        "examples,coverage,fuzzing",
        "--seed",
        "1",
    ]
    command += ["--header", f"X-API-Key: {key}"] if with_key else []
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=3600, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    (generated,) = re.findall(r"(\d+) generated", ended.stdout)
    assert int(generated) >= CASES, ended.stdout
    if folder := os.environ.get("REPORTS"):
        (Path(folder) / f"openapi-{'with' if with_key else 'without'}-key.txt").write_text(ended.stdout)
