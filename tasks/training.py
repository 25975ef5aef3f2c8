"""Stage train: a model from features, in a process of its own that can be killed and goes on from its last checkpoint."""

import json
import sys

from infra.launcher import launch
from storage.manifests import put_files, read_manifest
from storage.objects import open_store
from storage.refs import FeaturesRef, ModelRef
from storage.root import unfinished_folder
from tasks.caching import key_in_progress
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
    with unfinished_folder(f"train-{key_in_progress()[:24]}") as folder:
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
        meta = {"features": features.digest, "family": train.family}
        return ModelRef(storage, put_files(store, "model", collect(folder / "output"), meta))
