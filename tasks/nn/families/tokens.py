"""Token ids, as the families for text take them: (B, T) int32, padded on the right.

A token the training rows never showed (an id from the vocabulary's size on) counts as unknown.
"""

import numpy as np
import torch
from torch import Tensor, nn

from tasks.transforms.texts import PAD_ID, UNKNOWN_ID

EMBEDDING_STD = 0.1


def vocabulary_of(ids_NT: np.ndarray) -> int:
    """Token ids that the rows use, counted from 0; the padding and the unknown token always have a place."""
    return max(int(ids_NT.max()) + 1, 2)


def make_embedding(vocabulary: int, width: int) -> nn.Embedding:
    """A fresh embedding, in which the padding is zero and stays so."""
    embedding = nn.Embedding(vocabulary, width, padding_idx=PAD_ID)
    nn.init.normal_(embedding.weight, std=EMBEDDING_STD)
    with torch.no_grad():
        embedding.weight[PAD_ID].zero_()
    return embedding


def known(x: Tensor, vocabulary: int) -> Tensor:
    """The ids, all below `vocabulary`."""
    return torch.where(x < vocabulary, x, UNKNOWN_ID)


def lengths(ids_BT: Tensor) -> Tensor:
    """(B,) how many tokens each text has, at least 1: a text without any is one padding token."""
    return (ids_BT != PAD_ID).sum(1).clamp(min=1)


def trimmed(ids_BT: Tensor) -> Tensor:
    """The ids without the columns that are padding in every row; in an export all columns stay, as its shapes are fixed."""
    if torch.compiler.is_exporting():
        return ids_BT
    return ids_BT[:, : int(lengths(ids_BT).max())]
