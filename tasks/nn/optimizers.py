"""The optimizer, and the learning rate as a pure function of the step."""

import math

import torch
from torch import nn

from tasks.sections import TrainSection


def make_optimizer(model: nn.Module, section: TrainSection) -> torch.optim.Optimizer:
    """The optimizer that the section names; AdamW's weight decay is on matrices and kernels, not on biases and norms."""
    rate, parameters = section.learning_rate, list(model.parameters())
    if section.optimizer == "adamw":
        groups = [
            {"params": [p for p in parameters if p.dim() >= 2], "weight_decay": section.weight_decay},
            {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(groups, lr=rate, fused=True)
    if section.optimizer == "adam":
        return torch.optim.Adam(parameters, lr=rate, fused=True)
    if section.optimizer == "adagrad":
        return torch.optim.Adagrad(parameters, lr=rate)
    return torch.optim.SGD(parameters, lr=rate, momentum=section.momentum if section.optimizer == "sgd" else 0.0)


def learning_rate(section: TrainSection, step: int, steps: int) -> float:
    """The rate of update `step` (from 0) of `steps`: a linear rise over the warm-up, then a half cosine to zero, or constant."""
    warmup = round(section.warmup_share * steps)
    if step < warmup:
        return section.learning_rate * (step + 1) / warmup
    if section.schedule == "constant":
        return section.learning_rate
    done = (step - warmup) / max(steps - warmup, 1)
    return section.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Use `rate` from the next step on."""
    for group in optimizer.param_groups:
        group["lr"] = rate
