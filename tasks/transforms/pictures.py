"""Image files → pixels of one shape: the only place that decodes them, for training rows and for requests alike.

Pillow is loaded when the first file comes. Only formats that Pillow decodes by itself are opened: others start foreign programs.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from tasks.transforms.items import Refused

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
LARGEST_PIXELS = 50_000_000  # a good camera's photograph; a file of a few kilobytes can claim thousands of millions
MAXIMUM = 255
GREY_MODES = {"1", "L", "LA", "La"}


def measure(content: bytes) -> tuple[int, int, int]:
    """(H, W, C) of the picture in `content` as it is shown, from its header; `Refused` as for `decode`."""
    with _reading(content) as image:
        height, width = image.height, image.width
        if image.getexif().get(0x0112, 1) in (5, 6, 7, 8):  # EXIF orientation: a quarter turn
            height, width = width, height
        return height, width, 1 if _is_grey(image) else 3


def decode(content: bytes, shape: tuple[int, int, int], resize: str) -> np.ndarray:
    """(H, W, C) uint8 pixels of `shape`; orientation by EXIF, transparent parts white. A picture of that size is left as it is.

    `resize`: letterbox keeps the proportions and leaves the rest black; stretch does not keep them. `Refused` (rules `too_large`,
    `animated`, `damaged`, `image`) for what is not one picture.
    """
    height, width, channels = shape
    with _reading(content) as image:
        from PIL import ImageOps

        image.draft("L" if channels == 1 else "RGB", (2 * max(height, width),) * 2)  # JPEG: decode a large one smaller
        image = _flat(ImageOps.exif_transpose(image), "L" if channels == 1 else "RGB")
        if image.size != (width, height):
            image = _letterboxed(image, height, width) if resize == "letterbox" else _scaled(image, height, width)
        return np.asarray(image, dtype=np.uint8).reshape(shape)


def encode_png(pixels_HWC: np.ndarray) -> bytes:
    """The same pixels as a PNG file."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels_HWC[:, :, 0] if pixels_HWC.shape[2] == 1 else pixels_HWC).save(buffer, "PNG")
    return buffer.getvalue()


@contextmanager
def _reading(content: bytes) -> Iterator[Any]:
    """The opened picture in `content`; whatever Pillow raises while it is read becomes a refusal."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            _check(image)
            yield image
    except Refused:
        raise
    except Image.UnidentifiedImageError:
        raise Refused(f"found no image, wanted one of {', '.join(FORMATS)}", "image") from None
    except Image.DecompressionBombError:
        raise _too_large("far more") from None
    except Exception as error:  # noqa: BLE001  Pillow raises almost anything on a damaged file
        reason = " ".join(str(error).split()) or type(error).__name__
        raise Refused(f"found a damaged image ({reason[:120]}), wanted a whole one", "damaged") from None


def _check(image: Any) -> None:
    if image.width * image.height > LARGEST_PIXELS:
        raise _too_large(f"{image.width}×{image.height}")
    if getattr(image, "is_animated", False) and image.format != "MPO":  # MPO: a telephone's JPEG with more views in it
        raise Refused("found an animation, or several pages; wanted one picture", "animated")


def _too_large(found: str) -> Refused:
    return Refused(f"found an image of {found} pixels, wanted at most {LARGEST_PIXELS:,} in all", "too_large")


def _is_grey(image: Any) -> bool:
    return image.mode in GREY_MODES or image.mode.startswith("I;16")


def _flat(image: Any, mode: str) -> Any:
    """The image in `mode`, 8 bits a channel."""
    from PIL import Image

    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise Refused(f"found pixels of mode {image.mode}, wanted 8 or 16 bits a channel", "image")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert(mode)


def _scaled(image: Any, height: int, width: int) -> Any:
    from PIL import Image

    return image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=3.0)


def _letterboxed(image: Any, height: int, width: int) -> Any:
    from PIL import Image

    scale = min(width / image.width, height / image.height)
    inner_width, inner_height = (max(1, round(size * scale)) for size in image.size)
    framed = Image.new(image.mode, (width, height))
    framed.paste(_scaled(image, inner_height, inner_width), ((width - inner_width) // 2, (height - inner_height) // 2))
    return framed
