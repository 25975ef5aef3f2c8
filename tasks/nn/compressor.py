"""Make a candidate: `python -m tasks.nn.compressor JOB.json`.

The job names the recipe, the trained model's folder, the features folder and their meta, the train section, the output folder.
"""

import importlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tasks.graphs.canonical import arrays, save_arrays, to_bytes
from tasks.graphs.operations import count_operations
from tasks.jobs import emit, run, to_json, write_folder
from tasks.nn.candidates import Candidate, Context
from tasks.sections import Recipe, TrainSection
from tasks.splits import open_samples, open_split

REACHES = ("tasks.nn.prune", "tasks.nn.distil", "tasks.nn.truncate", "tasks.nn.quantise")

# Module of each pass, loaded when a recipe asks for it: an ensemble that is only truncated never loads torch.
PASSES = {
    "prune": "tasks.nn.prune",
    "distil": "tasks.nn.distil",
    "truncate": "tasks.nn.truncate",
    "quantise": "tasks.nn.quantise",
}


def compress(job: Mapping[str, Any]) -> None:
    """Run the recipe's passes in order, export, and write model.onnx, weights.safetensors, model.json, recipe.json, facts.json."""
    recipe, section = Recipe.model_validate(job["recipe"]), TrainSection.model_validate(job["train"])
    emit("start", recipe=recipe.name, passes=len(recipe.passes))
    candidate, teacher = _load(Path(job["model"]), section)
    train, validation = open_samples(job["features"], "train"), open_split(job["features"], "validation")
    context = Context(train, validation, section, teacher, emit)
    for number, settings in enumerate(recipe.passes, 1):
        emit("pass", kind=settings.kind, number=number, passes=len(recipe.passes))
        candidate = importlib.import_module(PASSES[settings.kind]).apply(candidate, settings, context)
    emit("export")
    files = _files(candidate)
    write_folder(Path(job["output"]), files | {"recipe.json": to_json(recipe.model_dump(mode="json"))})
    emit("done", model_bytes=len(files["model.onnx"]))


def _load(model: Path, section: TrainSection) -> tuple[Candidate, Callable[[np.ndarray], np.ndarray]]:
    if (model / "model.onnx").exists():
        from tasks.nn.teachers import open_graph

        return open_graph(model)
    from tasks.nn.teachers import open_network

    return open_network(model, section)


def _files(candidate: Candidate) -> dict[str, bytes]:
    candidate, graph = candidate.exported()
    if candidate.module is None:
        named = arrays(graph)
        weights, parameters = save_arrays(named), sum(array.size for array in named.values())
    else:
        from tasks.nn.descriptions import save_weights

        weights, parameters = save_weights(candidate.module), sum(p.numel() for p in candidate.module.parameters())
    return {
        "model.onnx": to_bytes(graph),
        "weights.safetensors": weights,
        "model.json": to_json(candidate.description),
        "facts.json": to_json(
            {
                "operations": count_operations(graph, candidate.description["input"]["shape"]),
                "output": _output(candidate),
                "parameters": parameters,
            }
        ),
    }


def _output(candidate: Candidate) -> str:
    if candidate.description["task"] == "regression":
        return "value"
    return "logits" if candidate.module is not None else "probabilities"


if __name__ == "__main__":
    sys.exit(run(compress, sys.argv[1:]))
