"""Structured pruning by hand, where torch-pruning cannot follow: which units stay, and layers cut down to them.

Units are judged by the sum of the squares of all weights that lead to or from them, as in magnitude pruning (Li 2017).
"""

import torch
from torch import Tensor, nn


def strongest(scores: Tensor, share: float, unit: int = 1) -> Tensor:
    """The indices, in order, of what stays when the weakest `share` leaves: a whole number of `unit`s, at least one unless there are fewer."""
    wanted = round(len(scores) * (1 - share))
    keep = min(max(-(-wanted // unit), 1) * unit, len(scores))
    return scores.topk(keep).indices.sort().values


def squares(weight: Tensor, along: int) -> Tensor:
    """The sum of squares of each slice of `weight` along dimension `along`."""
    others = [dim for dim in range(weight.dim()) if dim != along]
    return (weight.detach() ** 2).sum(others)


def cut_linear(layer: nn.Linear, outputs: Tensor | None = None, inputs: Tensor | None = None) -> nn.Linear:
    """The layer with only these outputs and inputs (None: all)."""
    weight = layer.weight.detach()
    weight = weight if outputs is None else weight[outputs]
    weight = weight if inputs is None else weight[:, inputs]
    bias = layer.bias.detach() if outputs is None else layer.bias.detach()[outputs]
    narrow = nn.Linear(weight.shape[1], weight.shape[0])
    narrow.weight, narrow.bias = _parameter(weight), _parameter(bias)
    return narrow


def cut_embedding(layer: nn.Embedding, columns: Tensor) -> nn.Embedding:
    """The embedding with only these columns."""
    narrow = nn.Embedding(layer.num_embeddings, len(columns), padding_idx=layer.padding_idx)
    narrow.weight = _parameter(layer.weight.detach()[:, columns])
    return narrow


def cut_norm(layer: nn.LayerNorm, columns: Tensor) -> nn.LayerNorm:
    """The layer norm of only these columns."""
    narrow = nn.LayerNorm(len(columns), eps=layer.eps)
    narrow.weight, narrow.bias = _parameter(layer.weight.detach()[columns]), _parameter(layer.bias.detach()[columns])
    return narrow


def _parameter(values: Tensor) -> nn.Parameter:
    return nn.Parameter(values.clone(memory_format=torch.contiguous_format))
