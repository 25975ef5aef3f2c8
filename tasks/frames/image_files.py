"""An image file → its pixels, in the shape that the data section settles."""

from collections import Counter
from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from tasks.frames.idx import IMAGE, image_array
from tasks.frames.raw import unprintable
from tasks.sections import DataSection
from tasks.transforms import pictures
from tasks.transforms.items import Refused

NAME = IMAGE
MAXIMUM = pictures.MAXIMUM
LARGEST_SIDE = 64  # where no size is given: what a small network learns in minutes on one core
describe = unprintable


def decode(section: DataSection, content: bytes) -> np.ndarray:
    """(H, W, C) uint8; `Refused` as for `pictures.decode`."""
    return pictures.decode(content, shape(section), section.image.resize)


def column(section: DataSection, values: list[np.ndarray]) -> pa.Array:
    """The images as flat lists of uint8."""
    size = int(np.prod(shape(section)))
    return image_array(np.concatenate([image.reshape(-1) for image in values] or [np.empty(0, np.uint8)]), size)


def shape(section: DataSection) -> tuple[int, int, int]:
    """(H, W, C) of a settled section's images."""
    sizes = section.image.size
    return sizes[0], sizes[-1], section.image.channels


def settle(section: DataSection, sample: Iterable[bytes]) -> DataSection:
    """The section with the size and channels of its images, taken from `sample` where it gives none."""
    found = [shape for content in sample if (shape := _measured(content))]
    channels = section.image.channels or max((c for _, _, c in found), default=1)
    size = section.image.size or _reduced(Counter((h, w) for h, w, _ in found))
    return section.model_copy(update={"image": section.image.model_copy(update={"size": size, "channels": channels})})


def _measured(content: bytes) -> tuple[int, int, int] | None:
    try:
        return pictures.measure(content)
    except Refused:
        return None  # it will be refused as a row


def _reduced(sizes: Counter[tuple[int, int]]) -> tuple[int, int]:
    """The most common size (of several the smallest), scaled down to `LARGEST_SIDE`."""
    if not sizes:
        return LARGEST_SIDE, LARGEST_SIDE
    (height, width), _ = min(sizes.items(), key=lambda item: (-item[1], item[0]))
    scale = min(1.0, LARGEST_SIDE / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))
