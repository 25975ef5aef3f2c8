"""A WAV file → its samples, at the rate and length that the data section settles."""

import math
from collections import Counter
from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from tasks.frames.raw import unprintable
from tasks.sections import DataSection
from tasks.transforms import waves
from tasks.transforms.audio import read_wave
from tasks.transforms.items import Refused

NAME = "audio"
WHOLE = 0.95  # share of the sample's recordings that are not cut, where no length is given
LONGEST = 10.0  # seconds, where no length is given
describe = unprintable


def decode(section: DataSection, content: bytes) -> np.ndarray:
    """(N,) int16; `Refused` as for `waves.decode`."""
    return read_wave(content, section.audio.sample_rate, length(section))


def column(section: DataSection, values: list[np.ndarray]) -> pa.Array:
    """The recordings as lists of one length."""
    samples = np.concatenate(values or [np.empty(0, np.int16)])
    return pa.FixedSizeListArray.from_arrays(pa.array(samples, pa.int16()), length(section))


def length(section: DataSection) -> int:
    """Samples of each recording of a settled section."""
    return max(1, round(section.audio.seconds * section.audio.sample_rate))


def settle(section: DataSection, sample: Iterable[bytes]) -> DataSection:
    """The section with the rate and length of its recordings, taken from `sample` where it gives none."""
    found = [measured for content in sample if (measured := _measured(content))]
    rates = Counter(rate for rate, _ in found)
    rate = section.audio.sample_rate or max(rates, key=lambda rate: (rates[rate], rate), default=16_000)
    seconds = section.audio.seconds or _covering([samples / rate for rate, samples in found])
    return section.model_copy(
        update={"audio": section.audio.model_copy(update={"sample_rate": rate, "seconds": seconds})}
    )


def _measured(content: bytes) -> tuple[int, int] | None:
    try:
        return waves.measure(content)
    except Refused:
        return None  # it will be refused as a row


def _covering(seconds: list[float]) -> float:
    """The length within which `WHOLE` of them lie, rounded up to a tenth of a second."""
    if not seconds:
        return 1.0
    wanted = sorted(seconds)[math.ceil(WHOLE * len(seconds)) - 1]
    return min(LONGEST, max(0.1, math.ceil(round(wanted * 10, 6)) / 10))
