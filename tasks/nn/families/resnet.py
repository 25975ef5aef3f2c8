"""Residual network for small images (He 2015 §4.2): stages of 3×3 blocks, each stage at half the size of the one before."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from tasks.nn.families.family import Family, Options, is_image


class Residual(nn.Module):
    """Two 3×3 convolutions with batch norm, added to the input; where the shape changes, to a 1×1 convolution of it with batch norm."""

    def __init__(self, inputs: int, inner: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, inner, 3, stride, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(inner)
        self.second = nn.Conv2d(inner, outputs, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(outputs)
        same = stride == 1 and inputs == outputs
        changed = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        self.shortcut = nn.Identity() if same else changed

    def forward(self, x_BCHW: Tensor) -> Tensor:
        h_BCHW = self.first_norm(self.first(x_BCHW)).relu()
        return (self.second_norm(self.second(h_BCHW)) + self.shortcut(x_BCHW)).relu()


class Resnet(nn.Module):
    """A convolution, stages of residual blocks, mean over the image, head: (B, C, H, W) → (B, K).

    `inner`: for each stage, the inner width of each of its blocks.
    """

    def __init__(
        self,
        inputs: int,
        stem: int,
        channels: Sequence[int],
        inner: Sequence[Sequence[int]],
        outputs: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.stem, self.stem_norm = nn.Conv2d(inputs, stem, 3, padding=1, bias=False), nn.BatchNorm2d(stem)
        self.stages = nn.ModuleList()
        width = stem
        for number, (wide, widths) in enumerate(zip(channels, inner, strict=True)):
            blocks = []
            for at, narrow in enumerate(widths):
                blocks.append(Residual(width, narrow, wide, 2 if number and not at else 1))
                width = wide
            self.stages.append(nn.Sequential(*blocks))
        self.head, self.dropout = nn.Linear(width, outputs), nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        h_BCHW = self.stem_norm(self.stem(x)).relu()
        for stage in self.stages:
            h_BCHW = stage(h_BCHW)
        return self.head(self.dropout(h_BCHW.mean((2, 3))))


def _build(options: Options, shape: Sequence[int], outputs: int) -> Resnet:
    return Resnet(shape[0], options["stem"], options["channels"], options["inner"], outputs, options["dropout"])


def _complete(options: Options, train: Any) -> dict[str, Any]:
    channels = options["channels"]
    inner = [[width] * options["blocks"] for width in channels]
    return {"channels": channels, "inner": inner, "stem": channels[0], "dropout": options["dropout"]}


def _widths(module: Any) -> dict[str, Any]:
    return {
        "stem": module.stem.out_channels,
        "channels": [stage[-1].second.out_channels for stage in module.stages],
        "inner": [[block.first.out_channels for block in stage] for stage in module.stages],
    }


FAMILY = Family(
    takes="float32 images (channels, height, width)", fits=is_image, build=_build, widths=_widths, complete=_complete
)
