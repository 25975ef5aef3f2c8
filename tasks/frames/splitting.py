"""Which split a row belongs to: as its source declares, else by its content. A new shard never moves an old row."""

import hashlib
import struct
from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from storage.errors import ConfigError
from tasks.frames.schema import ARRAYS, Schema
from tasks.sections import DataSection
from tasks.splits import SPLITS


def content_hashes(schema: Schema, rows: pa.Table) -> list[str]:
    """16 hexadecimal digits for each row: BLAKE2b over its typed values in column order, without its origin."""
    columns = [_canonical(rows.column(column.name), column.type) for column in schema.columns]
    return [hashlib.blake2b(b"".join(cells), digest_size=8).hexdigest() for cells in zip(*columns, strict=True)]


def assign_splits(section: DataSection, declared: str, hashes: list[str]) -> list[str]:
    """The split of each row of a source that declares `declared`, by its hash (of a passage, its document's).

    A source's own validation and test rows stay there. Where no source declares test (or validation) rows, its share is carved
    out of the others by content.
    """
    if declared in ("validation", "test"):
        return [declared] * len(hashes)
    validation, test = carved_shares(section)
    return [
        "test" if u < test else "validation" if u < test + validation else "train"
        for u in _draws(section.split_seed, hashes)
    ]


def carved_shares(section: DataSection) -> tuple[float, float]:
    """(validation, test) shares to carve; 0 for what some source declares. ConfigError when nothing is left to train on."""
    declared = {source.split for source in section.sources}
    validation = 0.0 if "validation" in declared else section.validation_share
    test = 0.0 if "test" in declared else section.test_share
    if validation + test >= 1:
        raise ConfigError(f"data.validation_share + data.test_share: found {validation + test:g}, wanted less than 1")
    return validation, test


def _draws(seed: int, hashes: list[str]) -> Iterable[float]:
    """A number in [0, 1) for each hash; the top 53 bits, so that each is exact as a float."""
    key = hashlib.blake2b(str(seed).encode()).digest()
    for value in hashes:
        draw = hashlib.blake2b(bytes.fromhex(value), digest_size=8, key=key).digest()
        yield (int.from_bytes(draw, "big") >> 11) / 2**53


def _canonical(values: pa.ChunkedArray, kind: str) -> list[bytes]:
    """Each cell as bytes that no other cell of this column has: a presence byte, then 8 bytes or a length and UTF-8."""
    if kind in ARRAYS:
        flat = values.combine_chunks()
        cells = flat.flatten().to_numpy().reshape(len(flat), -1)
        return [b"\1" + row.tobytes() for row in cells]
    if kind in ("category", "text", "passage"):
        texts = ((None if text is None else text.encode()) for text in values.to_pylist())
        return [b"\0" if text is None else b"\1" + struct.pack("<Q", len(text)) + text for text in texts]
    code = "<bq" if kind == "integer" else "<bd"
    cells = values.to_pylist()
    # -0.0 and 0.0 are equal, and so must their bytes be
    return [b"\0" if cell is None else struct.pack(code, 1, cell or 0) for cell in cells]


def count_splits(splits: Iterable[str]) -> dict[str, int]:
    """Rows of each split."""
    names, counts = np.unique(list(splits), return_counts=True)
    found = dict(zip(names.tolist(), counts.tolist(), strict=True))
    return {split: found.get(split, 0) for split in SPLITS}
