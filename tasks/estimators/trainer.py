"""Fit a scikit-learn estimator: `python -m tasks.estimators.trainer JOB.json`, the same job as the networks' trainer."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from storage.errors import ConfigError
from tasks.estimators.conversion import to_graph
from tasks.estimators.families import ENSEMBLES
from tasks.estimators.fitting import fit
from tasks.graphs.canonical import arrays, save_arrays, to_bytes
from tasks.jobs import emit, run, to_json, write_folder
from tasks.sections import TrainSection
from tasks.splits import Split, open_split


def train(job: Mapping[str, Any]) -> None:
    """Write model.onnx (the trained form), its arrays as weights.safetensors, model.json and history.json."""
    section, meta = TrainSection.model_validate(job["section"]), job["meta"]
    training, validation = (open_split(job["features"], name) for name in ("train", "validation"))
    _check(meta, training)
    emit("start", family="sklearn", estimator=section.sklearn.estimator, device="cpu", parameters=0)
    task, shape = meta["task"], meta["input"]["shape"]
    classes = list(meta["classes"] or ()) if task == "classification" else []
    with threadpool_limits(section.threads):
        estimator, history = fit(section, task, training, validation, emit)
    graph = to_graph(estimator, shape, task, len(classes) or 1)
    description = {
        "family": "sklearn",
        "options": section.sklearn.model_dump(mode="json") | _trees(estimator, section),
        "task": task,
        "classes": classes,
        "input": {"shape": list(shape), "dtype": "float32"},
        "outputs": len(classes) or 1,
    }
    files = {
        "model.onnx": to_bytes(graph),
        "weights.safetensors": save_arrays(arrays(graph)),
        "model.json": to_json(description),
        "history.json": to_json(history),
    }
    write_folder(Path(job["output"]), files)
    emit("done", epochs=len(history))


def _trees(estimator: Any, section: TrainSection) -> dict[str, int]:
    if section.sklearn.estimator not in ENSEMBLES:
        return {}
    each = getattr(estimator, "n_trees_per_iteration_", 1)
    return {"trees": section.sklearn.iterations * each, "trees_per_iteration": each}


def _check(meta: Mapping[str, Any], training: Split) -> None:
    if meta["input"]["dtype"] != "float32":
        raise ConfigError(
            f"train.family sklearn: found {meta['input']['dtype']} token ids, wanted float32 numbers; choose textcnn for text"
        )
    if meta["task"] != "classification":
        return
    absent = sorted(set(range(len(meta["classes"]))) - set(np.unique(training.y).tolist()))
    if absent:
        name = meta["classes"][absent[0]]
        raise ConfigError(
            f"train.family sklearn: found no training row of class {name!r}, wanted at least one; take the class out"
        )


if __name__ == "__main__":
    sys.exit(run(train, sys.argv[1:]))
