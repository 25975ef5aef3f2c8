"""The whole chain on a real S3 server, in a storm of faults: the same digests as on a local disk, and a model that answers."""

import json
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import ROOT, Ended
from fault_proxy import FAULTS, Storm, fault_proxy
from killed import POINTS
from real_s3 import RealS3

CONFIG = """
name: mushrooms
data: {{root: "{root}", format: csv, kind: table, target: edible, sources: [{{url: "in/*.csv"}}], test_share: 0.4}}
train: {{family: sklearn, sklearn: {{iterations: 10, max_leaves: 8}}}}
compress: {{recipes: [{{name: half, passes: [{{kind: truncate}}]}}]}}
evaluate: {{resamples: 200, margin: 0.15}}
cluster: {{workers: 1}}
storage: {{url: "{storage}", endpoint: "{endpoint}", region: us-east-1}}
"""


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Mushrooms in two files: large ones are edible, red ones are not."""
    folder, draw = tmp_path_factory.mktemp("rows"), random.Random(0)
    (folder / "in").mkdir()
    for name in ("one.csv", "two.csv"):
        made = [(round(draw.uniform(1, 30), 2), draw.choice(["red", "brown"])) for _ in range(200)]
        lines = [f"{size},{colour},{'yes' if colour == 'brown' and size > 12 else 'no'}" for size, colour in made]
        (folder / "in" / name).write_text("\n".join(["size_cm,colour,edible", *lines]) + "\n")
    return folder


def test_the_chain_in_a_storm_gives_the_digests_of_a_calm_local_one(
    millrace: Callable[..., Ended], rows: Path, real_s3: RealS3, tmp_path: Path
):
    calm, stormy = tmp_path / "calm", tmp_path / "stormy"
    for home in (calm, stormy):
        home.mkdir()
    for file in sorted(rows.glob("in/*")):
        real_s3.client().upload_file(str(file), real_s3.bucket, f"in/{file.name}")
    (calm / "run.yaml").write_text(CONFIG.format(root=rows, storage="", endpoint=""))
    local = millrace("run", "--config", "run.yaml", "--json", home=calm)
    assert local.code == 0, local.err
    keys = real_s3.environment()
    del keys["AWS_ENDPOINT_URL"], keys["AWS_REGION"]  # the configuration tells them, to every process
    with fault_proxy(real_s3.url) as proxy:
        bucket = f"s3://{real_s3.bucket}"
        (stormy / "run.yaml").write_text(CONFIG.format(root=bucket, storage=f"{bucket}/x", endpoint=proxy.url))
        proxy.storm = Storm(share=0.1, kinds=(*FAULTS, "slow", "stall"))
        hurried = {"SOAK_READ": "2", "SOAK_POINTS": str(tmp_path), "PYTHONPATH": f"{POINTS}{os.pathsep}{ROOT}"}
        ended = millrace("run", "--config", "run.yaml", "--json", home=stormy, **keys, **hurried)
        assert ended.code == 0, ended.err
        assert sum(proxy.storm.hurt.values()) >= 20
        assert set(proxy.storm.hurt) == {*FAULTS, "slow", "stall"}
        assert _digests(ended.json) == _digests(local.json)
        assert ended.json["release"]["version"] == 1
        told = f"AWS_ENDPOINT_URL={proxy.url} "  # so that the command to serve it works as it stands
        assert told in Path(ended.json["report"]).read_text()
        (stormy / "items.json").write_text(json.dumps([{"size_cm": 25, "colour": "brown"}]))
        asked = millrace("predict", "mushrooms", "--input", "items.json", "--config", "run.yaml", home=stormy, **keys)
        assert asked.code == 0, asked.err
        assert asked.json["prediction"] == "yes"


def _digests(summary: dict) -> dict:
    """Everything that was made, by digest; a step's key covers the digests of its inputs, and choose and judge take in what was measured."""
    keys = {step["name"]: step["key"] for step in summary["steps"] if step["name"] not in ("choose", "judge")}
    return {"steps": keys, "data": summary["data"]["digest"], "release": summary["release"]["digest"]}
