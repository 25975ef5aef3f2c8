"""Structured pruning by magnitude (torch-pruning, Fang 2023), which follows what depends on a channel through the network."""

from typing import Any

import torch_pruning
from torch import Tensor, nn

# Widths that vector units fill; narrower layers are cut to the unit.
ROUND_TO = 4


def prune_channels(module: Any, rows: Tensor, share: float) -> None:
    """Remove the `share` weakest channels or units of each hidden layer, in place; `module.head`'s outputs stay."""
    pruner = torch_pruning.pruner.MagnitudePruner(
        module,
        rows,
        importance=torch_pruning.importance.MagnitudeImportance(p=2),
        pruning_ratio=share,
        ignored_layers=[module.head],
        round_to=ROUND_TO,
        root_module_types=[nn.Conv1d, nn.Conv2d, nn.Linear, nn.Embedding],
    )
    pruner.step()
