"""model.json: what a model is, so that it can be built again without pickles."""

from collections.abc import Mapping
from typing import Any

from safetensors.torch import load, save
from torch import nn

from storage.errors import ConfigError
from tasks.nn.families import FAMILIES
from tasks.sections import TrainSection
from tasks.splits import Samples

Description = dict[str, Any]


def describe(section: TrainSection, meta: Mapping[str, Any], train: Samples) -> Description:
    """The description of a fresh model of the section's family for features with this meta; ConfigError if they do not fit."""
    name, given = section.family, meta["input"]
    family = FAMILIES[name]
    if not _suits(name, meta):
        found = f"{given['dtype']} of shape {tuple(given['shape'])}"
        fitting = [other for other in FAMILIES if _suits(other, meta)]
        raise ConfigError(
            f"train.family {name}: found features {found}, wanted {family.takes}; choose {' or '.join(fitting)}"
        )
    options = family.complete(getattr(section, name).model_dump(mode="json"), train)
    return {"family": name, "options": options} | outputs_of(meta)


def outputs_of(meta: Mapping[str, Any]) -> Description:
    """The part of a description that follows from the features alone."""
    classes = list(meta["classes"] or ()) if meta["task"] == "classification" else []
    return {
        "task": meta["task"],
        "classes": classes,
        "input": {"shape": list(meta["input"]["shape"]), "dtype": meta["input"]["dtype"]},
        "outputs": len(classes) or meta.get("vocabulary") or 1,
    }


def _suits(name: str, meta: Mapping[str, Any]) -> bool:
    """Only gpt tells the next token, and nothing else."""
    return FAMILIES[name].fits(meta["input"]) and (name == "gpt") == (meta["task"] == "language_model")


def build_model(description: Mapping[str, Any]) -> nn.Module:
    """The network described, with fresh weights from torch's global generator."""
    family = FAMILIES[description["family"]]
    return family.build(description["options"], description["input"]["shape"], description["outputs"])


def load_model(description: Mapping[str, Any], weights: bytes) -> nn.Module:
    """The network described, with the weights of a weights.safetensors, all of which must fit."""
    model = build_model(description)
    model.load_state_dict(load(weights), strict=True)
    return model


def save_weights(model: nn.Module) -> bytes:
    """The model's parameters and buffers as safetensors; the same values give the same bytes."""
    return save({name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()})
