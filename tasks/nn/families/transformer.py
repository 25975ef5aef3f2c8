"""Transformer encoder (Vaswani 2017) that judges a text: norm before each part (Xiong 2020), mean over the real tokens.

Legend beyond the package's: D width of a token, A attention heads, H width of a head.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from tasks.nn.families.attention import Attention, rotary_angles
from tasks.nn.families.channels import ROUND_TO
from tasks.nn.families.family import Family, Options, is_tokens
from tasks.nn.families.slicing import cut_embedding, cut_linear, cut_norm, squares, strongest
from tasks.nn.families.tokens import EMBEDDING_STD, known, lengths, make_embedding, trimmed, vocabulary_of
from tasks.splits import Split

UNSEEN = -1e9  # finite, so that no row of scores is NaN; exp() of it is 0


class Block(nn.Module):
    """Attention, then a feed-forward network of one hidden layer, each added to what it read: (B, T, D) → (B, T, D)."""

    def __init__(self, width: int, heads: int, head_width: int, feed_forward: int, dropout: float) -> None:
        super().__init__()
        self.before_attention, self.before_feed = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads, head_width)
        self.widen, self.narrow = nn.Linear(width, feed_forward), nn.Linear(feed_forward, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, h_BTD: Tensor, bias_B11T: Tensor, angles_TH: Tensor | None) -> Tensor:
        h_BTD = h_BTD + self.dropout(self.attention(self.before_attention(h_BTD), bias_B11T, angles_TH))
        return h_BTD + self.dropout(self.narrow(gelu(self.widen(self.before_feed(h_BTD)))))


class Transformer(nn.Module):
    """Embedding and positions, blocks, norm, mean over the real tokens, head: (B, T) token ids → (B, K)."""

    def __init__(self, options: Options, tokens: int, outputs: int) -> None:
        super().__init__()
        width, head_width, dropout = options["width"], options["head_width"], options["dropout"]
        self.vocabulary = options["vocabulary"]
        self.embedding = make_embedding(self.vocabulary, width)
        rotary = options["positions"] == "rotary"
        self.positions = None if rotary else nn.Parameter(torch.randn(tokens, width) * EMBEDDING_STD)
        self.angles: Tensor | None
        self.register_buffer("angles", rotary_angles(tokens, head_width) if rotary else None, persistent=False)
        sizes = zip(options["heads"], options["feed_forward"], strict=True)
        self.blocks = nn.ModuleList(Block(width, heads, head_width, feed, dropout) for heads, feed in sizes)
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, outputs)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        ids_BT = trimmed(known(x, self.vocabulary))
        tokens = ids_BT.shape[1]
        real_BT = torch.arange(tokens, device=x.device) < lengths(ids_BT)[:, None]
        bias_B11T = torch.where(real_BT, 0.0, UNSEEN)[:, None, None, :]
        angles_TH = None if self.angles is None else self.angles[:tokens]
        h_BTD = self.embedding(ids_BT)
        if self.positions is not None:
            h_BTD = h_BTD + self.positions[:tokens]
        h_BTD = self.dropout(h_BTD)
        for block in self.blocks:
            h_BTD = block(h_BTD, bias_B11T, angles_TH)
        real_BT1 = real_BT[:, :, None].float()
        pooled_BD = (self.norm(h_BTD) * real_BT1).sum(1) / real_BT1.sum(1)
        return self.head(self.dropout(pooled_BD))


def _build(options: Options, shape: Sequence[int], outputs: int) -> Transformer:
    return Transformer(options, shape[0], outputs)


def _complete(options: Options, train: Split) -> dict[str, Any]:
    layers, heads = options["layers"], options["heads"]
    plain = {name: options[name] for name in ("width", "positions", "dropout")}
    each = {"heads": [heads] * layers, "feed_forward": [options["feed_forward"]] * layers}
    return {**plain, **each, "head_width": options["width"] // heads, "vocabulary": vocabulary_of(train.x)}


def _prune(module: Any, rows: Tensor, share: float) -> None:
    """Heads, hidden units of the feed-forward networks, and columns of what runs through all blocks."""
    for block in module.blocks:
        _prune_heads(block.attention, share)
        scores = squares(block.widen.weight, 0) + squares(block.narrow.weight, 1)
        keep = strongest(scores, share, ROUND_TO)
        block.widen, block.narrow = cut_linear(block.widen, outputs=keep), cut_linear(block.narrow, inputs=keep)
    _prune_width(module, share)


def _prune_heads(attention: Attention, share: float) -> None:
    heads, width = attention.heads, attention.head_width
    scores = squares(attention.inner.weight.unflatten(0, (3, heads, width)), 1)
    scores += squares(attention.outer.weight.unflatten(1, (heads, width)), 1)
    keep = strongest(scores, share)
    mixed = torch.arange(heads * width).view(heads, width)[keep].flatten()
    asked = torch.cat([mixed + part * heads * width for part in range(3)])
    attention.inner = cut_linear(attention.inner, outputs=asked)
    attention.outer = cut_linear(attention.outer, inputs=mixed)
    attention.heads = len(keep)


def _prune_width(module: Any, share: float) -> None:
    readers = [layer for block in module.blocks for layer in (block.attention.inner, block.widen)]
    writers = [layer for block in module.blocks for layer in (block.attention.outer, block.narrow)]
    scores = squares(module.embedding.weight, 1) + sum(squares(layer.weight, 1) for layer in readers)
    keep = strongest(scores + sum(squares(layer.weight, 0) for layer in writers), share, ROUND_TO)
    module.embedding = cut_embedding(module.embedding, keep)
    if module.positions is not None:
        module.positions = nn.Parameter(module.positions.detach()[:, keep].clone())
    for block in module.blocks:
        block.before_attention, block.before_feed = (
            cut_norm(block.before_attention, keep),
            cut_norm(block.before_feed, keep),
        )
        block.attention.inner = cut_linear(block.attention.inner, inputs=keep)
        block.attention.outer = cut_linear(block.attention.outer, outputs=keep)
        block.widen, block.narrow = cut_linear(block.widen, inputs=keep), cut_linear(block.narrow, outputs=keep)
    module.norm, module.head = cut_norm(module.norm, keep), cut_linear(module.head, inputs=keep)


def _widths(module: Any) -> dict[str, Any]:
    return {
        "width": module.embedding.embedding_dim,
        "heads": [block.attention.heads for block in module.blocks],
        "feed_forward": [block.widen.out_features for block in module.blocks],
    }


FAMILY = Family(takes="int32 token ids", fits=is_tokens, build=_build, widths=_widths, complete=_complete, prune=_prune)
