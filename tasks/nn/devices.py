"""Where a model is trained, and under which conditions a result can be had again bit for bit."""

import os
from dataclasses import dataclass
from typing import Any

import torch

from storage.errors import ConfigError
from storage.metering import hold_gpu
from tasks.sections import TrainSection


@dataclass(frozen=True)
class Place:
    """`precision`: fp32, or bf16 for autocast with fp32 weights."""

    device: torch.device
    precision: str

    def autocast(self) -> torch.autocast:
        """The context that a forward pass runs in."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.precision == "bf16")

    def conditions(self) -> dict[str, Any]:
        """What must be equal for equal bits."""
        cuda = self.device.type == "cuda"
        return {
            "device": torch.cuda.get_device_name(self.device) if cuda else torch.backends.cpu.get_cpu_capability(),
            "precision": self.precision,
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "compiled": False,
            "world_size": 1,
        }


def settle(section: TrainSection) -> Place:
    """Choose device and precision, and make torch deterministic in this process. ConfigError where CUDA is wanted and absent."""
    os.environ.setdefault(
        "CUBLAS_WORKSPACE_CONFIG", ":4096:8"
    )  # what deterministic cuBLAS asks for; read when CUDA starts
    found = "cuda" if torch.cuda.is_available() else "cpu"
    if section.device == "cuda" and found != "cuda":
        raise ConfigError("train.device: found no CUDA device that torch can use, wanted cuda; set train.device=cpu")
    device = torch.device(found if section.device == "auto" else section.device)
    if device.type == "cuda":
        hold_gpu()
    torch.set_num_threads(section.threads)
    if torch.get_num_interop_threads() != 1:
        torch.set_num_interop_threads(1)  # allowed once in a process
    torch.use_deterministic_algorithms(True, warn_only=device.type == "cuda")
    # Filling finds faults in torch, at a tenth to a fifth of a step's time, and changes no result.
    torch.utils.deterministic.fill_uninitialized_memory = False  # pyright: ignore[reportAttributeAccessIssue]
    precision = section.precision
    if precision == "auto":
        precision = "bf16" if device.type == "cuda" else "fp32"
    return Place(device, precision)
