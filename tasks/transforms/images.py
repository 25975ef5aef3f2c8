"""Pixels, or an image file → standardised channels-first floats."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tasks.transforms import pictures
from tasks.transforms.encoded import from_base64, to_base64
from tasks.transforms.items import Refused, show

LISTED = 1024  # an example of more numbers than this is a PNG file


@dataclass(frozen=True)
class ImageInput:
    """Images of one `shape` (H, W, C) with values from 0 to `maximum`; `mean` and `std` (C each) are of values scaled to 0…1.

    `resize`: how image files come to that shape.
    """

    name: str
    shape: tuple[int, int, int]
    maximum: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resize: str = "letterbox"
    dtype = "float32"

    @classmethod
    def load(cls, data: Mapping[str, Any], files: Mapping[str, bytes]) -> "ImageInput":
        height, width, channels = data["shape"]
        mean, std = tuple(data["mean"]), tuple(data["std"])
        return cls(data["name"], (height, width, channels), data["maximum"], mean, std, data.get("resize", "letterbox"))

    @property
    def features_shape(self) -> tuple[int, ...]:
        height, width, channels = self.shape
        return (channels, height, width)

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.name,)

    def parse(self, item: object) -> tuple[np.ndarray]:
        """An item's pixels, flat in HWC order; `Refused` for anything but H×W(×C) finite numbers within 0…maximum, or an image file.

        A file (base64) of any size is resized as the training rows were.
        """
        if isinstance(item, Mapping) and tuple(item) == (self.name,):
            item = item[self.name]
        if isinstance(item, str):
            content = from_base64(item, f"an image file in base64, or nested lists of {self._wanted()} numbers")
            return (self._scaled(pictures.decode(content, self.shape, self.resize)).reshape(-1),)
        pixels = _array(item, self._wanted())
        if pixels.shape != self.shape and not (self.shape[2] == 1 and pixels.shape == self.shape[:2]):
            raise Refused(f"found an image of shape {_times(pixels.shape)}, wanted {self._wanted()}")
        if not np.isfinite(pixels).all():
            raise Refused("found NaN or an infinite value among the pixels, wanted finite numbers")
        if pixels.min() < 0 or pixels.max() > self.maximum:
            found = pixels.min() if pixels.min() < 0 else pixels.max()
            raise Refused(f"found a pixel of {found:g}, wanted values from 0 to {self.maximum:g}")
        return (pixels.reshape(-1),)

    def features(self, columns: Mapping[str, Sequence[Any]]) -> np.ndarray:
        """(B, C, H, W) float32. One pixel's value depends on no other, so it is the same in every batch."""
        x_BHWC = np.asarray(columns[self.name], dtype=np.float32).reshape(-1, *self.shape)
        mean_C, std_C = np.array(self.mean, np.float32), np.array(self.std, np.float32)
        x_BHWC = (x_BHWC / np.float32(self.maximum) - mean_C) / std_C
        return np.ascontiguousarray(x_BHWC.transpose(0, 3, 1, 2))

    def item(self, row: Sequence[Any]) -> Any:
        """The item a client would send for a stored row's flat pixels: nested lists, or a PNG file where they would be long."""
        height, width, channels = self.shape
        if height * width * channels > LISTED and self.maximum == pictures.MAXIMUM:
            return to_base64(pictures.encode_png(np.asarray(row[0], np.uint8).reshape(self.shape)))
        pixels = np.asarray(row[0]).reshape((height, width) if channels == 1 else self.shape)
        return pixels.tolist()

    def schema(self) -> dict[str, Any]:
        file = {"type": "string", "contentEncoding": "base64", "contentMediaType": "image/*"}
        return {"anyOf": [self._numbers_schema(), file]}

    def _numbers_schema(self) -> dict[str, Any]:
        numbers: dict[str, Any] = {"type": "number", "minimum": 0, "maximum": self.maximum}
        for size in reversed(self.shape[:2] if self.shape[2] == 1 else self.shape):
            numbers = {"type": "array", "minItems": size, "maxItems": size, "items": numbers}
        return numbers

    def sentence(self) -> str:
        return f"an image: a file (PNG, JPEG, …) in base64, or nested lists of {self._wanted()} numbers from 0 to {self.maximum:g}"

    def _scaled(self, pixels: np.ndarray) -> np.ndarray:
        if self.maximum == pictures.MAXIMUM:
            return pixels
        return pixels * (self.maximum / pictures.MAXIMUM)

    def _wanted(self) -> str:
        return _times(self.shape[:2] if self.shape[2] == 1 else self.shape)


def _array(item: object, wanted: str) -> np.ndarray:
    if not isinstance(item, (list, tuple, np.ndarray)):
        raise Refused(f"found {type(item).__name__} {show(item)}, wanted nested lists of {wanted} numbers")
    try:
        pixels = np.asarray(item)
    except (ValueError, OverflowError):
        raise Refused(f"found nested lists of unequal lengths, wanted {wanted} numbers") from None
    if pixels.dtype.kind not in "iuf":
        raise Refused(f"found pixels that are no numbers ({show(item)}), wanted {wanted} numbers")
    return pixels.astype(np.float64)


def _times(shape: Sequence[int]) -> str:
    return "×".join(str(size) for size in shape) or "one number"
