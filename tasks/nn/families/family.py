"""What the trainer, the exporter and the passes know of a network family: nothing but this."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from tasks.nn.families.channels import prune_channels

Options = Mapping[str, Any]


@dataclass(frozen=True)
class Family:
    """One kind of network; a family's file ends with its own.

    `complete` adds the options that follow from the training rows. `prune` makes a network narrower in place, given two rows of
    input and the share of each width that leaves; `widths` then reads from it the options that build it again.
    """

    takes: str  # in words, for the error
    fits: Callable[[Mapping[str, Any]], bool]  # the features' shape and dtype
    build: Callable[[Options, Sequence[int], int], nn.Module]  # options, shape of one row, outputs
    widths: Callable[[Any], dict[str, Any]]
    complete: Callable[[Options, Any], dict[str, Any]] = lambda options, train: dict(options)  # train: Samples
    prune: Callable[[Any, Tensor, float], None] = prune_channels


def is_numbers(given: Mapping[str, Any]) -> bool:
    """Whether features are float32 numbers of any shape."""
    return given["dtype"] == "float32"


def is_image(given: Mapping[str, Any]) -> bool:
    """Whether features are float32 (channels, height, width): images, or spectrograms."""
    return is_numbers(given) and len(given["shape"]) == 3


def is_tokens(given: Mapping[str, Any]) -> bool:
    """Whether features are int32 token ids."""
    return given["dtype"] == "int32"
