"""Samples at another rate: band-limited interpolation with a windowed sinc.

J. O. Smith, "Digital Audio Resampling Home Page", https://ccrma.stanford.edu/~jos/resample/, §Theory of operation; the window is
Kaiser's with β = 8 (80 dB: Oppenheim & Schafer 1989, §7.4.3). Each sample is computed by itself, so that the same samples give the
same bits wherever they are computed.
"""

import math

import numpy as np

CROSSINGS = 16  # zero crossings of the sinc on each side: more of them make a steeper filter
ROLL_OFF = 0.94  # of half the lower rate is kept; the rest is the filter's slope
BETA = 8.0
CHUNK = 2048  # outputs computed at once: bounds the memory


def resample(samples: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    """(N,) float64 at `rate` samples a second → (⌈N · wanted / rate⌉,) at `wanted`; beyond both ends is silence."""
    if rate == wanted:
        return samples
    common = math.gcd(rate, wanted)
    up, down = wanted // common, rate // common
    cutoff = ROLL_OFF * min(1.0, up / down)  # in units of half the old rate
    reach = math.ceil(CROSSINGS / cutoff)
    padded = np.concatenate([np.zeros(reach), samples, np.zeros(reach + 1)])
    count = -(-len(samples) * up // down)
    parts = [
        _outputs(padded, np.arange(at, min(at + CHUNK, count)), up, down, cutoff, reach)
        for at in range(0, count, CHUNK)
    ]
    return np.concatenate(parts) if parts else np.zeros(0)


def _outputs(padded: np.ndarray, numbers: np.ndarray, up: int, down: int, cutoff: float, reach: int) -> np.ndarray:
    """The outputs `numbers`: each is the sum of the samples around it, weighted by the filter at their distance."""
    places, phases = numbers * down // up, numbers * down % up
    distinct, which = np.unique(phases, return_inverse=True)  # few rates have many phases: the weights are shared
    offsets_T = np.arange(-reach + 1, reach + 1)
    distance_PT = offsets_T - distinct[:, None] / up
    weights_PT = cutoff * np.sinc(cutoff * distance_PT) * _kaiser(distance_PT / reach)
    around_NT = padded[places[:, None] + offsets_T + reach]
    return np.einsum("nt,nt->n", around_NT, weights_PT[which])


def _kaiser(place: np.ndarray) -> np.ndarray:
    return np.i0(BETA * np.sqrt(np.maximum(0.0, 1.0 - place**2))) / np.i0(BETA)
