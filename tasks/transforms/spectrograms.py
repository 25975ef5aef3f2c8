"""Samples → log-mel spectrogram.

Frames under a Hann window, their power spectrum, triangular bands on the mel scale, logarithm: Davis & Mermelstein 1980 (IEEE TASSP
28(4)) without the cosine transform; mel = 2595 log10(1 + f/700), O'Shaughnessy 1987, as in the HTK Book (Young et al., §5.4).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

FLOOR = 1e-8  # power of the faintest sound that counts, in units of full scale: a bit below the noise of 16-bit samples


@dataclass(frozen=True)
class Spectrogram:
    """Of recordings of `samples` samples at `rate` a second: `mels` bands, frames of `window` samples every `hop`."""

    rate: int
    samples: int
    mels: int
    window: int
    hop: int

    @property
    def frames(self) -> int:
        """Frames that lie within the recording; one where it is shorter than a window."""
        return 1 + max(0, self.samples - self.window) // self.hop

    def compute(self, samples_N: np.ndarray) -> np.ndarray:
        """(N,) samples from -1 to 1 → (mels, frames) float64: natural logarithms of power."""
        if len(samples_N) < self.window:
            samples_N = np.pad(samples_N, (0, self.window - len(samples_N)))
        frames_FW = np.lib.stride_tricks.sliding_window_view(samples_N, self.window)[:: self.hop]
        spectrum_FB = np.fft.rfft(frames_FW * self._hann_W, self._points)
        power_FB = (spectrum_FB.real**2 + spectrum_FB.imag**2) / self._hann_W.sum() ** 2
        return np.log(power_FB @ self.bands_BM + FLOOR).T

    @cached_property
    def bands_BM(self) -> np.ndarray:
        """(bins, mels) weights: triangles whose corners lie evenly on the mel scale from 0 to half the rate."""
        top = 2595 * np.log10(1 + self.rate / 2 / 700)
        corners = 700 * (10 ** (np.linspace(0, top, self.mels + 2) / 2595) - 1)
        bins_B1 = np.fft.rfftfreq(self._points, 1 / self.rate)[:, None]
        rising = (bins_B1 - corners[:-2]) / (corners[1:-1] - corners[:-2])
        falling = (corners[2:] - bins_B1) / (corners[2:] - corners[1:-1])
        return np.maximum(0.0, np.minimum(rising, falling))

    @cached_property
    def _hann_W(self) -> np.ndarray:
        return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(self.window) / self.window)

    @property
    def _points(self) -> int:
        """Points of the Fourier transform: a power of two, and at least twice the window, so that the low bands are not empty."""
        return 1 << (2 * self.window - 1).bit_length()
