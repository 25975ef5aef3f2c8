"""What a language model minimises. B batch, T tokens, V vocabulary; a target below zero is none."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from tasks.splits import Samples

IGNORED = -1
EVALUATION_ROWS = 16  # windows in one forward: logits are V times as large as what goes in


def next_token_loss(logits_BTV: Tensor, y_BT: Tensor, _rows: np.ndarray) -> Tensor:
    """Mean cross-entropy of the batch's targets, in nats."""
    return functional.cross_entropy(logits_BTV.flatten(0, 1), y_BT.flatten().long(), ignore_index=IGNORED)


def token_count(y_BT: Tensor) -> int:
    """How many targets there are."""
    return int((y_BT != IGNORED).sum())


def taught_loss(
    teacher: Callable[[np.ndarray], np.ndarray], windows: Samples, temperature: float, soft_share: float
) -> Callable[[Tensor, Tensor, np.ndarray], Tensor]:
    """The tokens' loss and, weighted with `soft_share`, the distance to the teacher's next-token distribution.

    The teacher is asked batch by batch: its answers to all `windows` would be V times as large as they. T² as in Hinton 2015 §2.1.
    """

    def loss(logits_BTV: Tensor, y_BT: Tensor, rows_B: np.ndarray) -> Tensor:
        taught = torch.from_numpy(teacher(windows.batch(rows_B)[0])).to(logits_BTV.device)
        real = (y_BT != IGNORED).flatten()
        log_student_NV = functional.log_softmax(logits_BTV.flatten(0, 1)[real] / temperature, 1)
        log_teacher_NV = functional.log_softmax(taught.flatten(0, 1)[real] / temperature, 1)
        soft = functional.kl_div(log_student_NV, log_teacher_NV, reduction="batchmean", log_target=True)
        hard = next_token_loss(logits_BTV, y_BT, rows_B)
        return soft_share * soft * temperature**2 + (1 - soft_share) * hard

    return loss
