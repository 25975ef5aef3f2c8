"""Export weights of one of our families that somebody else trained: `python -m tasks.nn.importer JOB.json`.

The job names the weights (safetensors), the description (model.json's content), the features to answer, and the output folder.
"""

import io
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from storage.errors import ConfigError
from tasks.graphs.canonical import to_bytes
from tasks.jobs import run, to_json, write_folder
from tasks.nn.descriptions import load_model
from tasks.nn.export import export
from tasks.nn.families import FAMILIES

BATCH = 256


def import_network(job: Mapping[str, Any]) -> None:
    """Write model.onnx, outputs.npy (N, K) of torch's own forward, and facts.json; ConfigError where the weights are of another network."""
    description = job["description"]
    if description["family"] not in FAMILIES:
        raise ConfigError(f"model.json: found family {description['family']!r}, wanted one of {', '.join(FAMILIES)}")
    try:
        model = load_model(description, Path(job["weights"]).read_bytes()).eval()
    except (RuntimeError, KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ConfigError(f"weights: they are not those of the network that model.json describes: {reason}") from None
    features, outputs = torch.from_numpy(np.load(job["features"])), io.BytesIO()
    with torch.no_grad():
        np.save(outputs, torch.cat([model(part).double() for part in features.split(BATCH)]).numpy())
    parameters = sum(parameter.numel() for parameter in model.parameters())
    told = {
        "family": description["family"],
        "parameters": parameters,
        "producer": "",
        "tools": {"torch": torch.__version__},
    }
    files = {
        "model.onnx": to_bytes(export(model, description)),
        "outputs.npy": outputs.getvalue(),
        "facts.json": to_json(told),
    }
    write_folder(Path(job["output"]), files)


if __name__ == "__main__":
    sys.exit(run(import_network, sys.argv[1:]))
