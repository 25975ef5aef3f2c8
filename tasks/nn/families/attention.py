"""Multi-head self-attention, and positions as rotations.

Legend beyond the package's: D width of a token, A attention heads, H width of a head.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

ROTARY_BASE = 10_000.0  # Su 2021 §3.2.2


class Attention(nn.Module):
    """(B, T, D), a bias of the scores that fits (B, A, T, T), and angles (T, H/2) or None → (B, T, D)."""

    def __init__(self, width: int, heads: int, head_width: int) -> None:
        super().__init__()
        self.heads, self.head_width = heads, head_width
        self.inner = nn.Linear(width, 3 * heads * head_width)
        self.outer = nn.Linear(heads * head_width, width)

    def forward(self, h_BTD: Tensor, bias: Tensor, angles_TH: Tensor | None) -> Tensor:
        rows, tokens, _ = h_BTD.shape
        split = self.inner(h_BTD).view(rows, tokens, 3, self.heads, self.head_width)
        query_BATH, key_BATH, value_BATH = split.permute(2, 0, 3, 1, 4).unbind(0)
        if angles_TH is not None:
            turns = angles_TH.cos().to(query_BATH.dtype), angles_TH.sin().to(query_BATH.dtype)
            query_BATH, key_BATH = rotated(query_BATH, turns), rotated(key_BATH, turns)
        mixed_BATH = scaled_dot_product_attention(query_BATH, key_BATH, value_BATH, bias.to(value_BATH.dtype))
        return self.outer(mixed_BATH.transpose(1, 2).flatten(2))


def rotary_angles(tokens: int, head_width: int) -> Tensor:
    """(T, H/2) by how much each pair of a head's numbers is turned at each position (Su 2021 §3.2.2)."""
    speeds = ROTARY_BASE ** (-torch.arange(0, head_width, 2) / head_width)
    return torch.arange(tokens)[:, None] * speeds


def rotated(x_BATH: Tensor, turns: tuple[Tensor, Tensor]) -> Tensor:
    """Queries or keys, each pair of numbers turned; `turns`: the angles' cosines and sines, (T, H/2)."""
    first, second = x_BATH.chunk(2, -1)
    cos_TH, sin_TH = turns
    return torch.cat((first * cos_TH - second * sin_TH, first * sin_TH + second * cos_TH), -1)
