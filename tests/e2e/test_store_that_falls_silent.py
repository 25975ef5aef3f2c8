"""A store that dies in the middle of a run: the run ends with one message, nothing is lost, and the next run ends it."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from commands import COMMAND, ROOT, Ended, environment, wait_for
from fault_proxy import FaultProxy, Storm, fault_proxy
from killed import POINTS, write_rows
from real_s3 import RealS3

PATIENCE, READ = (
    os.environ.get("SOAK_PATIENCE", "4"),
    os.environ.get("SOAK_READ", "2"),
)  # seconds; the product's own are 40 and 20
CONFIG = """
name: mushrooms
data: {{root: "{root}", format: csv, kind: table, target: edible, sources: [{{url: "in/*.csv"}}], test_share: 0.4, shard_rows: 50}}
train: {{family: sklearn, sklearn: {{iterations: 10, max_leaves: 8}}}}
compress: {{recipes: [{{name: half, passes: [{{kind: truncate}}]}}]}}
evaluate: {{resamples: 200, margin: 0.15, max_slowdown: 100}}
cluster: {{workers: 1}}
storage: {{url: "s3://{bucket}/x", endpoint: "{endpoint}", region: us-east-1}}
"""


@pytest.fixture
def proxy(real_s3: RealS3) -> Iterator[FaultProxy]:
    with fault_proxy(real_s3.url) as proxy:
        yield proxy


@pytest.fixture
def home(real_s3: RealS3, proxy: FaultProxy, tmp_path: Path) -> Path:
    """A folder with rows and the configuration of a run whose store lies behind the proxy."""
    write_rows(tmp_path / "rows")
    config = CONFIG.format(root=tmp_path / "rows", bucket=real_s3.bucket, endpoint=proxy.url)
    (tmp_path / "run.yaml").write_text(config)
    return tmp_path


@pytest.mark.parametrize(("kind", "moment"), [("reset", "steps/"), ("stall", "blobs/")])
def test_a_dead_store_ends_the_run_soon_and_the_next_run_ends_what_was_begun(
    millrace: Callable[..., Ended],
    prefect_api: str,
    real_s3: RealS3,
    proxy: FaultProxy,
    home: Path,
    kind: str,
    moment: str,
):
    keys = {name: value for name, value in real_s3.environment().items() if "KEY" in name}
    hurried = {
        "SOAK_PATIENCE": PATIENCE,
        "SOAK_READ": READ,
        "SOAK_POINTS": str(home),
        "PYTHONPATH": f"{POINTS}{os.pathsep}{ROOT}",
    }
    command = subprocess.Popen(
        [*COMMAND, "run", "--config", "run.yaml", "--json"],
        cwd=home,
        env=environment(home / ".millrace", PREFECT_API_URL=prefect_api, **keys, **hurried),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(lambda: any(m == "PUT" and moment in path for m, path, _ in proxy.seen), f"a write of {moment}", 120)
    proxy.storm = Storm(1.0, (kind,), in_a_row=float("inf"))
    out, err = command.communicate(timeout=120)  # two minutes, however it died
    assert (command.returncode, out) == (1, "")
    assert "Traceback" not in err
    assert "what is done is kept" in err.strip().splitlines()[-1], err
    assert "AWS_ENDPOINT_URL" in err.strip().splitlines()[-1]
    proxy.storm = None
    committed = _records(real_s3)
    again = millrace("run", "--config", "run.yaml", "--json", home=home, **keys)
    assert again.code == 0, again.err
    states = {step["key"]: step["state"] for step in again.json["steps"]}
    assert {states[key] for key in committed} <= {"cached"}
    assert committed.items() <= _records(real_s3).items()
    assert not list((home / ".millrace" / "work" / "scratch").iterdir())


def _records(real_s3: RealS3) -> dict[str, str]:
    """The records' ETags, by key of the step."""
    listed = real_s3.client().list_objects_v2(Bucket=real_s3.bucket, Prefix="x/steps/").get("Contents", [])
    return {item["Key"].split("/")[2]: json.dumps([item["Key"], item["ETag"]]) for item in listed}
