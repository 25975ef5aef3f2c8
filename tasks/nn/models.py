"""The network families, and how a description (model.json) becomes one.

Shapes: B batch, C channels, H height, W width, T tokens, E embedding, F features or filters, K outputs.
"""

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tasks.transforms.texts import PAD_ID, UNKNOWN_ID


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


class Block(nn.Module):
    """3×3 convolution, batch norm, ReLU, and 2×2 pooling while there are two pixels to pool."""

    def __init__(self, inputs: int, outputs: int, pool: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.pool = nn.MaxPool2d(2) if pool else nn.Identity()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return self.pool(self.norm(self.conv(x_BCHW)).relu())


class Cnn(nn.Module):
    """Blocks, then one hidden layer: (B, C, H, W) → (B, K)."""

    def __init__(
        self, shape: Sequence[int], channels: Sequence[int], hidden: int, outputs: int, dropout: float
    ) -> None:
        super().__init__()
        width, height, length = shape
        self.blocks = nn.ModuleList()
        for out in channels:
            pool = min(height, length) >= 2
            self.blocks.append(Block(width, out, pool))
            width, height, length = out, height // (1 + pool), length // (1 + pool)
        self.hidden = nn.Linear(width * height * length, hidden)
        self.head = nn.Linear(hidden, outputs)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        h_BF = self.hidden(self.dropout(x.flatten(1))).relu()
        return self.head(self.dropout(h_BF))


class TextCnn(nn.Module):
    """Embedding, parallel convolutions, max over the real tokens (Kim 2014): (B, T) token ids → (B, K).

    A token the training rows never showed (an id from `vocabulary` on) counts as unknown.
    """

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
        self.embedding = nn.Embedding(vocabulary, embedding, padding_idx=PAD_ID)
        nn.init.normal_(self.embedding.weight, std=0.1)
        with torch.no_grad():
            self.embedding.weight[PAD_ID].zero_()
        self.convs = nn.ModuleList(nn.Conv1d(embedding, f, w) for w, f in zip(widths, filters, strict=True))
        self.head = nn.Linear(sum(filters), outputs)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        ids_BT = torch.where(x < self.vocabulary, x, UNKNOWN_ID)
        real_B1T = (ids_BT != PAD_ID).unsqueeze(1)
        e_BET = self.embedding(ids_BT).transpose(1, 2)
        pooled = [self._pool(conv, e_BET, real_B1T) for conv in self.convs]
        return self.head(self.dropout(torch.cat(pooled, 1)))

    def _pool(self, conv: nn.Module, e_BET: Tensor, real_B1T: Tensor) -> Tensor:
        padded = nn.functional.pad(e_BET, (0, conv.kernel_size[0] - 1))  # pyright: ignore
        return (conv(padded).relu() * real_B1T).amax(2)
