"""What training minimises, and what validation reports."""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from storage.errors import ConfigError
from tasks.nn.language import next_token_loss, token_count
from tasks.sections import TrainSection

Loss = Callable[[Tensor, Tensor, np.ndarray], Tensor]
"""Outputs (B, K), targets (B,), indices of the rows (B,) → the mean loss, a scalar. Of a language model (B, T, V) and (B, T)."""


def task_loss(task: str) -> Loss:
    """What is validated on, whatever is minimised: cross-entropy of logits, or mean squared error of the standardised target."""
    if task == "language_model":
        return next_token_loss
    if task == "classification":
        return lambda outputs_BK, y_B, _: functional.cross_entropy(outputs_BK, y_B)
    return lambda outputs_B1, y_B, _: functional.mse_loss(outputs_B1.squeeze(1), y_B)


def training_loss(section: TrainSection, task: str, outputs: int) -> Loss:
    """The loss that the section names, for `outputs` classes or one value; ConfigError where they do not fit."""
    classifies, name = task == "classification", section.loss
    if name == "bce" and outputs != 2:
        raise ConfigError(f"train.loss bce: found {outputs} classes, wanted 2; set train.loss=cross_entropy")
    smoothing = section.label_smoothing
    if name == "bce":
        return lambda outputs_B2, y_B, _: _binary(outputs_B2, y_B, smoothing)
    if classifies and smoothing:
        return lambda outputs_BK, y_B, _: functional.cross_entropy(outputs_BK, y_B, label_smoothing=smoothing)
    return task_loss(task)


def _binary(outputs_B2: Tensor, y_B: Tensor, smoothing: float) -> Tensor:
    """Binary cross-entropy on the log-odds of the second class, the difference of the two logits."""
    soft_B = y_B.to(outputs_B2.dtype) * (1 - smoothing) + smoothing / 2
    return functional.binary_cross_entropy_with_logits(outputs_B2[:, 1] - outputs_B2[:, 0], soft_B)


def penalty(model: nn.Module, l1: float, l2: float) -> Tensor | float:
    """`l1` × the sum of sizes and `l2` × the sum of squares of all weights (matrices, kernels and tables; not biases and norms)."""
    weights = [weight for weight in model.parameters() if weight.dim() >= 2]
    total: Tensor | float = 0.0
    for share, power in ((l1, 1), (l2, 2)):
        if share:
            total = total + share * sum(weight.abs().pow(power).sum() for weight in weights)
    return total


def distillation_loss(hard: Loss, task: str, teacher_NK: np.ndarray, temperature: float, soft_share: float) -> Loss:
    """The labels' loss `hard` and, weighted with `soft_share`, the distance to the teacher's outputs (N, K): log-probabilities or values.

    T²: Hinton 2015 §2.1, so that the soft part's gradients keep their size at any temperature.
    """
    teacher = torch.from_numpy(teacher_NK)

    def loss(outputs_BK: Tensor, y_B: Tensor, rows_B: np.ndarray) -> Tensor:
        taught_BK = teacher[torch.from_numpy(rows_B)].to(outputs_BK.device)
        if task == "classification":
            log_student_BK = functional.log_softmax(outputs_BK / temperature, 1)
            log_teacher_BK = functional.log_softmax(taught_BK / temperature, 1)
            divergence = functional.kl_div(log_student_BK, log_teacher_BK, reduction="batchmean", log_target=True)
            soft = divergence * temperature**2
        else:
            soft = functional.mse_loss(outputs_BK, taught_BK)
        return soft_share * soft + (1 - soft_share) * hard(outputs_BK, y_B, rows_B)

    return loss


def metric_sum(task: str, outputs_BK: Tensor, y_B: Tensor) -> Tensor:
    """Sum over the batch of what `metric` averages: right answers, squared errors, or the tokens' negative log-likelihoods."""
    if task == "language_model":
        return next_token_loss(outputs_BK, y_B, np.empty(0)) * token_count(y_B)
    if task == "classification":
        return (outputs_BK.argmax(1) == y_B).sum()
    return ((outputs_BK.squeeze(1) - y_B) ** 2).sum()


def target_count(task: str, y_B: Tensor) -> int:
    """How many targets a batch has: its rows, or the tokens in them."""
    return token_count(y_B) if task == "language_model" else len(y_B)


def metric(task: str, total: float, targets: int) -> float:
    """Accuracy, RMSE in standard deviations of the target, or perplexity."""
    if task == "language_model":
        return math.exp(min(total / targets, 700.0))
    return total / targets if task == "classification" else (total / targets) ** 0.5
