"""A recording → its standardised log-mel spectrogram, as an image of one channel."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tasks.transforms import waves
from tasks.transforms.encoded import from_base64, to_base64
from tasks.transforms.items import Refused, show
from tasks.transforms.resampling import resample
from tasks.transforms.spectrograms import Spectrogram


def read_wave(content: bytes, rate: int, length: int) -> np.ndarray:
    """(length,) int16 of a WAV file: mono, at `rate` samples a second, cut or followed by silence; `Refused` as `waves.decode`."""
    wave = waves.decode(content, length / rate)
    return fit_length(waves.to_int16(resample(wave.samples, wave.rate, rate)), length)


def fit_length(samples: np.ndarray, length: int) -> np.ndarray:
    """The first `length` samples, with silence behind them where there are fewer."""
    return np.pad(samples[:length], (0, max(0, length - len(samples))))


@dataclass(frozen=True)
class AudioInput:
    """`mean` and `std`: of each band of the spectrogram, over the training rows."""

    name: str
    spectrogram: Spectrogram
    mean: tuple[float, ...]
    std: tuple[float, ...]
    dtype = "float32"

    @classmethod
    def load(cls, data: Mapping[str, Any], files: Mapping[str, bytes]) -> "AudioInput":
        return cls(data["name"], Spectrogram(**data["spectrogram"]), tuple(data["mean"]), tuple(data["std"]))

    @property
    def features_shape(self) -> tuple[int, ...]:
        return (1, self.spectrogram.mels, self.spectrogram.frames)

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.name,)

    def parse(self, item: object) -> tuple[np.ndarray]:
        """An item's samples, int16; `Refused` for anything but a WAV file in base64 or a list of samples at the model's rate."""
        if isinstance(item, Mapping) and tuple(item) == (self.name,):
            item = item[self.name]
        if isinstance(item, str):
            content = from_base64(item, f"a WAV file in base64, or {self._listed()}")
            return (read_wave(content, self.spectrogram.rate, self.spectrogram.samples),)
        return (fit_length(self._samples(item), self.spectrogram.samples),)

    def features(self, columns: Mapping[str, Sequence[Any]]) -> np.ndarray:
        """(B, 1, mels, frames) float32. Row by row: a product of matrices may differ in its last bits with their size."""
        rows = columns[self.name]
        x_BCMF = np.empty((len(rows), *self.features_shape), dtype=np.float32)
        mean_M1, std_M1 = np.array(self.mean)[:, None], np.array(self.std)[:, None]
        for x_CMF, samples in zip(x_BCMF, rows, strict=True):
            levels_MF = self.spectrogram.compute(np.asarray(samples, np.float64) / waves.MAXIMUM)
            x_CMF[0] = (levels_MF - mean_M1) / std_M1
        return x_BCMF

    def item(self, row: Sequence[Any]) -> str:
        """The item a client would send for a stored row: a WAV file in base64."""
        return to_base64(waves.encode(np.asarray(row[0], np.int16), self.spectrogram.rate))

    def schema(self) -> dict[str, Any]:
        file = {"type": "string", "contentEncoding": "base64", "contentMediaType": "audio/wav"}
        sample = {"type": "number", "minimum": -waves.MAXIMUM, "maximum": waves.MAXIMUM - 1}
        return {"anyOf": [file, {"type": "array", "minItems": 1, "items": sample}]}

    def sentence(self) -> str:
        seconds = self.spectrogram.samples / self.spectrogram.rate
        return f"a recording, of which the first {seconds:g} s count: a WAV file in base64, or {self._listed()}"

    def _listed(self) -> str:
        low, high = -waves.MAXIMUM, waves.MAXIMUM - 1
        return f"a list of samples from {low} to {high}, {self.spectrogram.rate} of them a second"

    def _samples(self, item: object) -> np.ndarray:
        if not isinstance(item, (list, tuple, np.ndarray)) or not len(item):
            raise Refused(f"found {type(item).__name__} {show(item)}, wanted a WAV file in base64, or {self._listed()}")
        try:
            samples = np.asarray(item)
        except (ValueError, OverflowError):
            samples = np.empty(0, object)
        if samples.dtype.kind not in "iuf" or samples.ndim != 1 or not np.isfinite(samples).all():
            raise Refused(f"found samples that are no finite numbers ({show(item)}), wanted {self._listed()}")
        if samples.min() < -waves.MAXIMUM or samples.max() >= waves.MAXIMUM:
            found = samples.min() if samples.min() < -waves.MAXIMUM else samples.max()
            raise Refused(f"found a sample of {found:g}, wanted {self._listed()}")
        return np.rint(samples).astype(np.int16)
