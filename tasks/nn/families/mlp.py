"""Multilayer perceptron, for numbers of any shape."""

import itertools
import math
from collections.abc import Sequence

from torch import Tensor, nn

from tasks.nn.families.family import Family, Options, is_numbers


class Mlp(nn.Module):
    """Multilayer perceptron: (B, *shape) → (B, K)."""

    def __init__(self, inputs: int, hidden: Sequence[int], outputs: int, dropout: float) -> None:
        super().__init__()
        widths = [inputs, *hidden]
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(widths))
        self.head = nn.Linear(widths[-1], outputs)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        h_BF = x.flatten(1)
        for layer in self.hidden:
            h_BF = self.dropout(layer(h_BF).relu())
        return self.head(h_BF)


def _build(options: Options, shape: Sequence[int], outputs: int) -> Mlp:
    return Mlp(math.prod(shape), options["hidden"], outputs, options["dropout"])


FAMILY = Family(
    takes="float32 numbers",
    fits=is_numbers,
    build=_build,
    widths=lambda module: {"hidden": [layer.out_features for layer in module.hidden]},
)
