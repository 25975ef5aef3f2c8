"""Stage train: a model from features, in a process of its own that can be killed and goes on from its last checkpoint."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from infra.launcher import launch
from storage.manifests import put_files, read_manifest
from storage.objects import open_store
from storage.refs import FeaturesRef, ModelRef
from storage.root import unfinished_folder
from tasks.caching import parts_in_progress
from tasks.policies import step
from tasks.progress import reporter
from tasks.sections import TrainSection
from tasks.stored import collect


@step("train")
def train(train: TrainSection, device: str, features: FeaturesRef, storage: str) -> ModelRef:
    """Train on `device` (cpu or cuda). Killed, the next attempt resumes from the folder that bears the step's key."""
    from tasks.arrays import lay_out_arrays

    store = open_store(storage)
    manifest = read_manifest(store, features.digest)
    with unfinished_folder(f"train-{_work_in_progress()[:24]}") as folder:
        job = {
            "section": train.model_copy(update={"device": device}).model_dump(mode="json"),
            "features": str(lay_out_arrays(store, features.digest, folder / "features")),
            "meta": dict(manifest.meta),
            "output": str(folder / "output"),
            "checkpoints": str(folder / "checkpoints"),
        }
        job_file = folder / "job.json"
        job_file.write_text(json.dumps(job))
        program = "tasks.estimators.trainer" if train.family == "sklearn" else "tasks.nn.trainer"
        argv, report = [sys.executable, "-m", program, str(job_file)], reporter("train")
        launch(argv, on_line=report, log=folder / "train.log", threads=train.threads)
        meta = {"features": features.digest, "family": train.family} | _marks(folder / "output" / "continued.json")
        return ModelRef(storage, put_files(store, "model", collect(folder / "output"), meta))


def _work_in_progress() -> str:
    """A name for this training: the step's key, but the same for who would and who would not go on under other conditions."""
    parts = parts_in_progress()
    fields = {name: value for name, value in parts.fields["train"].items() if name != "on_other_conditions"}
    return replace(parts, fields={**parts.fields, "train": fields}).key


def _marks(continued: Path) -> dict[str, Any]:
    """What a model bears that was trained on under other conditions than it was begun."""
    return {"continued": json.loads(continued.read_bytes())} if continued.exists() else {}
