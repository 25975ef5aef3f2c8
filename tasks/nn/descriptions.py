"""model.json: what a model is, so that it can be built again without pickles."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from safetensors.torch import load, save
from torch import nn

from storage.errors import ConfigError
from tasks.nn import gpt
from tasks.nn.models import Cnn, Mlp, TextCnn
from tasks.sections import TrainSection
from tasks.splits import Split

WANTED = {"mlp": "float32 numbers", "cnn": "float32 images (channels, height, width)", "textcnn": "int32 token ids"}
Description = dict[str, Any]


def describe(section: TrainSection, meta: Mapping[str, Any], train: Split) -> Description:
    """The description of a fresh model of the section's family for features with this meta; ConfigError if they do not fit."""
    family, given = section.family, meta["input"]
    if meta["task"] == "language_model":
        return gpt.describe(section, meta)
    if not _fits(family, given):
        found = f"{given['dtype']} of shape {tuple(given['shape'])}"
        fitting = [name for name in WANTED if _fits(name, given)]
        raise ConfigError(
            f"train.family {family}: found features {found}, wanted {WANTED[family]}; choose {' or '.join(fitting)}"
        )
    options = getattr(section, family).model_dump(mode="json")
    if family == "textcnn":
        options |= {"vocabulary": _vocabulary(train.x), "filters": [options["filters"]] * len(options["widths"])}
    return {"family": family, "options": options} | outputs_of(meta)


def outputs_of(meta: Mapping[str, Any]) -> Description:
    """The part of a description that follows from the features alone."""
    classes = list(meta["classes"] or ()) if meta["task"] == "classification" else []
    return {
        "task": meta["task"],
        "classes": classes,
        "input": {"shape": list(meta["input"]["shape"]), "dtype": meta["input"]["dtype"]},
        "outputs": len(classes) or 1,
    }


def build_model(description: Mapping[str, Any]) -> nn.Module:
    """The network described, with fresh weights from torch's global generator."""
    options, shape, outputs = description["options"], description["input"]["shape"], description["outputs"]
    if description["family"] == "gpt":
        return gpt.build(description)
    if description["family"] == "mlp":
        return Mlp(math.prod(shape), options["hidden"], outputs, options["dropout"])
    if description["family"] == "cnn":
        return Cnn(shape, options["channels"], options["hidden"], outputs, options["dropout"])
    sizes = (options["vocabulary"], options["embedding"], options["widths"], options["filters"])
    return TextCnn(*sizes, outputs, options["dropout"])


def load_model(description: Mapping[str, Any], weights: bytes) -> nn.Module:
    """The network described, with the weights of a weights.safetensors, all of which must fit."""
    model = build_model(description)
    model.load_state_dict(load(weights), strict=True)
    return model


def save_weights(model: nn.Module) -> bytes:
    """The model's parameters and buffers as safetensors; the same values give the same bytes."""
    return save({name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()})


def _fits(family: str, given: Mapping[str, Any]) -> bool:
    is_text = given["dtype"] == "int32"
    return is_text if family == "textcnn" else not is_text and (family == "mlp" or len(given["shape"]) == 3)


def _vocabulary(ids_NT: np.ndarray) -> int:
    # The padding and the unknown token always have a place.
    return max(int(ids_NT.max()) + 1, 2)
