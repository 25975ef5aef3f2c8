"""Which split a row belongs to: as its source declares, else by its content. A new shard never moves an old row."""

import hashlib

import numpy as np
import pyarrow as pa

from storage.errors import ConfigError
from tasks.frames.arrow import pc
from tasks.frames.row_hashes import xxh64
from tasks.sections import DataSection
from tasks.splits import SPLITS


def assign_splits(section: DataSection, declared: str, hashes: np.ndarray) -> pa.DictionaryArray:
    """The split of each row of a source that declares `declared`, by its hash (uint64; of a passage, its document's), coded by SPLITS.

    A source's own validation and test rows stay there. Where no source declares test (or validation) rows, its share is carved
    out of the others by content.
    """
    if declared in ("validation", "test"):
        codes = np.full(len(hashes), SPLITS.index(declared), np.int8)
    else:
        validation, test = carved_shares(section)
        draws = _draws(section.split_seed, hashes)
        carved = np.where(draws < test + validation, SPLITS.index("validation"), SPLITS.index("train"))
        codes = np.where(draws < test, SPLITS.index("test"), carved).astype(np.int8)
    return pa.DictionaryArray.from_arrays(codes, pa.array(SPLITS, pa.string()))


def carved_shares(section: DataSection) -> tuple[float, float]:
    """(validation, test) shares to carve; 0 for what some source declares. ConfigError when nothing is left to train on."""
    declared = {source.split for source in section.sources}
    validation = 0.0 if "validation" in declared else section.validation_share
    test = 0.0 if "test" in declared else section.test_share
    if validation + test >= 1:
        raise ConfigError(f"data.validation_share + data.test_share: found {validation + test:g}, wanted less than 1")
    return validation, test


def _draws(seed: int, hashes: np.ndarray) -> np.ndarray:
    """A number in [0, 1) for each hash: the hash hashed with the seed; the top 53 bits, so that each is exact as a float."""
    key = int.from_bytes(hashlib.blake2b(str(seed).encode(), digest_size=8).digest(), "little")
    return (xxh64([hashes], len(hashes), key) >> np.uint64(11)).astype(np.float64) / 2**53


def count_splits(splits: pa.Array) -> dict[str, int]:
    """Rows of each split; those that are in none are not counted."""
    found = {one["values"]: one["counts"] for one in pc.value_counts(splits).to_pylist()}
    return {split: found.get(split, 0) for split in SPLITS}
