"""Convolutional network for sentences."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tasks.nn.families.family import Family, Options, is_tokens
from tasks.nn.families.tokens import known, make_embedding, trimmed, vocabulary_of
from tasks.splits import Split
from tasks.transforms.texts import PAD_ID


class TextCnn(nn.Module):
    """Embedding, parallel convolutions, max over the real tokens (Kim 2014): (B, T) token ids → (B, K)."""

    def __init__(
        self,
        vocabulary: int,
        embedding: int,
        widths: Sequence[int],
        filters: Sequence[int],
        outputs: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        self.embedding = make_embedding(vocabulary, embedding)
        self.convs = nn.ModuleList(nn.Conv1d(embedding, f, w) for w, f in zip(widths, filters, strict=True))
        self.head = nn.Linear(sum(filters), outputs)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        ids_BT = trimmed(known(x, self.vocabulary))
        real_B1T = (ids_BT != PAD_ID).unsqueeze(1)
        e_BET = self.embedding(ids_BT).transpose(1, 2)
        pooled = [self._pool(conv, e_BET, real_B1T) for conv in self.convs]
        return self.head(self.dropout(torch.cat(pooled, 1)))

    def _pool(self, conv: nn.Module, e_BET: Tensor, real_B1T: Tensor) -> Tensor:
        padded = nn.functional.pad(e_BET, (0, conv.kernel_size[0] - 1))  # pyright: ignore
        return (conv(padded).relu() * real_B1T).amax(2)


def _build(options: Options, shape: Sequence[int], outputs: int) -> TextCnn:
    sizes = (options["vocabulary"], options["embedding"], options["widths"], options["filters"])
    return TextCnn(*sizes, outputs, options["dropout"])


def _complete(options: Options, train: Split) -> dict[str, Any]:
    each = [options["filters"]] * len(options["widths"])
    return {**options, "vocabulary": vocabulary_of(train.x), "filters": each}


def _widths(module: Any) -> dict[str, Any]:
    return {"embedding": module.embedding.embedding_dim, "filters": [conv.out_channels for conv in module.convs]}


FAMILY = Family(takes="int32 token ids", fits=is_tokens, build=_build, widths=_widths, complete=_complete)
