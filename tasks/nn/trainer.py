"""Train a network: `python -m tasks.nn.trainer JOB.json`.

The job names the train section, the features folder and their meta, the output folder, and one for checkpoints.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.jobs import emit, run, to_json, write_folder
from tasks.nn.descriptions import build_model, describe, save_weights
from tasks.nn.devices import settle
from tasks.nn.fit import Fit
from tasks.nn.generators import seed_generators
from tasks.nn.losses import training_loss
from tasks.sections import TrainSection
from tasks.splits import open_samples, open_split


def train(job: Mapping[str, Any]) -> None:
    """Write weights.safetensors, model.json and history.json; events tell how far it is.

    Also continued.json where it went on from a checkpoint under other conditions: when, and what had changed.
    """
    section = TrainSection.model_validate(job["section"])
    place = settle(section)
    training, validation = open_samples(job["features"], "train"), open_split(job["features"], "validation")
    description = describe(section, job["meta"], training)
    seed_generators(section.seed)
    model = build_model(description)
    emit(
        "start", family=section.family, device=str(place.device), parameters=sum(p.numel() for p in model.parameters())
    )
    task = description["task"]
    features = str(to_json(job["meta"]))
    loss = training_loss(section, task, description["outputs"])
    fit = Fit(model, section, place, task, training, validation, loss, emit, Path(job["checkpoints"]), features)
    history = fit.run()
    files = {
        "weights.safetensors": save_weights(model),
        "model.json": to_json(description),
        "history.json": to_json(history),
    }
    if fit.continued:
        files["continued.json"] = to_json(fit.continued)
    write_folder(Path(job["output"]), files)
    emit("done", epochs=len(history))


if __name__ == "__main__":
    sys.exit(run(train, sys.argv[1:]))
