"""IDX images with their labels file, as MNIST is written (http://yann.lecun.com/exdb/mnist/)."""

import struct
from typing import Any

import numpy as np
import pyarrow as pa

from storage.errors import NotFound, SchemaError
from tasks.frames.filesystems import filesystem
from tasks.frames.raw import Raw, with_origin
from tasks.frames.sources import IDX_IMAGES, IDX_LABELS, labels_beside
from tasks.frames.streams import Entry, open_entry, skip
from tasks.sections import DataSection

IMAGE = "image"
IMAGES_MAGIC, LABELS_MAGIC = 2051, 2049
MAXIMUM = 255


def count_rows(entry: Entry) -> int:
    """Images in the file; SchemaError unless its labels file has as many."""
    images, labels = _header(entry, IMAGES_MAGIC, 3), _header(_labels(entry), LABELS_MAGIC, 1)
    if images[0] != labels[0]:
        raise SchemaError(
            f"{entry.name}: found {images[0]} images and {labels[0]} labels; wanted as many of both: fetch them again"
        )
    return images[0]


def image_shape(entry: Entry) -> tuple[int, int, int]:
    """(H, W, C) of the file's images."""
    _, height, width = _header(entry, IMAGES_MAGIC, 3)
    return height, width, 1


def read(section: DataSection, entry: Entry, start: int, stop: int) -> Raw:
    """Images `start` to `stop` as flat lists of uint8, and their labels as texts."""
    height, width, _ = image_shape(entry)
    pixels = _body(entry, 16, start, stop, height * width)
    labels = _body(_labels(entry), 8, start, stop, 1)
    table = pa.table(
        {
            section.features[0] if section.features else IMAGE: image_array(pixels, height * width),
            section.target: pa.array(labels).cast(pa.string()),
        }
    )
    return Raw(with_origin(table, entry.name, list(range(start + 1, stop + 1))))


def image_array(pixels: np.ndarray, size: int) -> pa.Array:
    """Flat uint8 pixels as fixed-size lists."""
    return pa.FixedSizeListArray.from_arrays(pa.array(pixels), size)


def _labels(entry: Entry) -> Entry:
    """The labels file beside an images file, compressed in the same way or not."""
    if IDX_IMAGES not in entry.name:
        raise NotFound(
            f"{entry.name}: the name has no {IDX_IMAGES!r}, so its labels cannot be found; rename both as MNIST does"
        )
    url, member, name = (part.replace(IDX_IMAGES, IDX_LABELS) for part in (entry.url, entry.member, entry.name))
    if entry.member:
        return Entry(url, member, name)
    fs, path = filesystem(entry.url)
    found = labels_beside(fs, path)
    if not found:
        raise NotFound(f"{entry.name}: its labels file {name} is not beside it; put it there")
    return Entry(fs.unstrip_protocol(found), "", name)


def _header(entry: Entry, magic: int, dimensions: int) -> tuple[int, ...]:
    with open_entry(entry) as stream:
        head = stream.read(4 + 4 * dimensions)
    if len(head) != 4 + 4 * dimensions or struct.unpack(">i", head[:4])[0] != magic:
        raise SchemaError(
            f"{entry.name}: is no IDX file of {dimensions} dimensions and bytes (magic number {magic}); fetch it again"
        )
    return struct.unpack(f">{dimensions}i", head[4:])


def _body(entry: Entry, head: int, start: int, stop: int, size: int) -> np.ndarray:
    wanted = (stop - start) * size
    with open_entry(entry) as stream:
        skip(stream, head + start * size)
        data: Any = stream.read(wanted)
    if len(data) != wanted:
        raise SchemaError(f"{entry.name}: ends in the middle of row {start + len(data) // size + 1}; fetch it again")
    return np.frombuffer(data, np.uint8)
