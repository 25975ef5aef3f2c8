"""Checkpoints: each one file, complete or not there; tensors as safetensors, the rest as JSON in its header. No pickle."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

KEEP = 2


@dataclass(frozen=True)
class Checkpoint:
    """`facts`: plain JSON values; `tensors`: by name."""

    facts: dict[str, Any]
    tensors: dict[str, Tensor] = field(repr=False)

    def group(self, name: str) -> dict[str, Tensor]:
        """The tensors stored under `name.`, by the rest of their names."""
        return {key[len(name) + 1 :]: tensor for key, tensor in self.tensors.items() if key.startswith(f"{name}.")}


def save_checkpoint(folder: Path, step: int, facts: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Write the checkpoint of global step `step`, synced to disk; then drop all but the latest two."""
    folder.mkdir(parents=True, exist_ok=True)
    content = save(
        {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, {"facts": json.dumps(facts)}
    )
    partial = folder / ".partial"
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(folder / f"step-{step:012d}.safetensors")
    for old in _files(folder)[KEEP:]:
        old.unlink()


def latest_checkpoint(folder: Path) -> Checkpoint | None:
    """The latest checkpoint that can be read whole; a damaged one is passed over."""
    for path in _files(folder):
        try:
            with safe_open(path, framework="pt") as file:
                facts = json.loads(file.metadata()["facts"])
                return Checkpoint(facts, {name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
        except (SafetensorError, OSError, KeyError, TypeError, ValueError):
            continue
    return None


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimizer's moments, named `<parameter index>.<moment>`."""
    state = optimizer.state_dict()["state"]
    return {
        f"{index}.{name}": value
        for index, moments in state.items()
        for name, value in moments.items()
        if value is not None
    }


def load_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put moments from `optimizer_tensors` back, laid out in memory as their parameters: fused updates count on it."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        index, _, name = key.partition(".")
        parameter = parameters[int(index)]
        same = tensor.shape == parameter.shape
        state.setdefault(int(index), {})[name] = laid_out(tensor, parameter) if same else tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def laid_out(tensor: Tensor, parameter: Tensor) -> Tensor:
    """The tensor on the parameter's device and with its order in memory."""
    return torch.empty_like(parameter, requires_grad=False).copy_(tensor)


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*.safetensors"), reverse=True)
