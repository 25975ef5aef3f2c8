"""Pass prune: structured pruning; the network gets narrower, its options say so."""

import copy

import torch

from tasks.nn.candidates import Candidate, Context
from tasks.nn.families import FAMILIES
from tasks.sections import Prune


def apply(candidate: Candidate, settings: Prune, context: Context) -> Candidate:
    """The candidate without the `share` weakest units of each hidden layer; inputs and outputs stay."""
    module = copy.deepcopy(candidate.trainable("prune")).cpu().eval()
    family, given = FAMILIES[candidate.description["family"]], candidate.description["input"]
    family.prune(module, torch.ones(2, *given["shape"], dtype=getattr(torch, given["dtype"])), settings.share)
    options = candidate.description["options"] | family.widths(module)
    return Candidate(candidate.description | {"options": options}, module)
