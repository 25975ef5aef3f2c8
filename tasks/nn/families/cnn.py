"""Convolutional network, for images and spectrograms."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from tasks.nn.families.family import Family, Options, is_image


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


def _build(options: Options, shape: Sequence[int], outputs: int) -> Cnn:
    return Cnn(shape, options["channels"], options["hidden"], outputs, options["dropout"])


def _widths(module: Any) -> dict[str, Any]:
    return {"channels": [block.conv.out_channels for block in module.blocks], "hidden": module.hidden.out_features}


FAMILY = Family(takes="float32 images (channels, height, width)", fits=is_image, build=_build, widths=_widths)
