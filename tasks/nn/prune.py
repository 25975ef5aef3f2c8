"""Pass prune: structured pruning by magnitude (torch-pruning, Fang 2023); the network gets narrower, its options say so."""

import copy
from typing import Any

import torch
import torch_pruning
from torch import nn

from tasks.nn.candidates import Candidate, Context
from tasks.nn.gpt import Gpt, narrow
from tasks.nn.models import Cnn, Mlp, TextCnn
from tasks.sections import Prune

# Widths that vector units fill; narrower layers are cut to the unit.
ROUND_TO = 4


def apply(candidate: Candidate, settings: Prune, context: Context) -> Candidate:
    """The candidate without the `share` weakest units of each hidden layer; inputs and outputs stay."""
    trained = candidate.trainable("prune")
    if isinstance(trained, Gpt):  # torch-pruning does not follow the heads through their reshaping
        narrowed, hidden = narrow(trained, settings.share, ROUND_TO)
        return Candidate(
            candidate.description | {"options": candidate.description["options"] | {"hidden": hidden}}, narrowed
        )
    module: Any = copy.deepcopy(trained).cpu().eval()
    given = candidate.description["input"]
    rows = torch.ones(2, *given["shape"], dtype=getattr(torch, given["dtype"]))
    pruner = torch_pruning.pruner.MagnitudePruner(
        module,
        rows,
        importance=torch_pruning.importance.MagnitudeImportance(p=2),
        pruning_ratio=settings.share,
        ignored_layers=[module.head],
        round_to=ROUND_TO,
        root_module_types=[nn.Conv1d, nn.Conv2d, nn.Linear, nn.Embedding],
    )
    pruner.step()
    options = candidate.description["options"] | _widths(module)
    return Candidate(candidate.description | {"options": options}, module)


def _widths(module: nn.Module) -> dict[str, Any]:
    if isinstance(module, Mlp):
        return {"hidden": [layer.out_features for layer in module.hidden]}  # pyright: ignore
    if isinstance(module, Cnn):
        channels = [block.conv.out_channels for block in module.blocks]  # pyright: ignore
        return {"channels": channels, "hidden": module.hidden.out_features}
    if isinstance(module, TextCnn):
        filters = [conv.out_channels for conv in module.convs]
        return {"embedding": module.embedding.embedding_dim, "filters": filters}  # pyright: ignore
    raise TypeError(type(module))
