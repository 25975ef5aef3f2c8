"""WAV files → mono samples at the file's own rate.

RIFF as Microsoft and IBM describe it (Multimedia Programming Interface and Data Specifications 1.0, 1991), with the extensible
header of 2001 (WAVEFORMATEXTENSIBLE): PCM of 8, 16, 24 and 32 bits, and floating point of 32 and 64.
"""

import struct
from typing import NamedTuple

import numpy as np

from tasks.transforms.items import Refused

PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
NAMES = {2: "ADPCM", 6: "A-law", 7: "µ-law", 17: "ADPCM", 85: "MP3"}
RATES = (1000, 384_000)
UNKNOWN_SIZE = 0xFFFFFFFF  # what a program writes that does not know yet how much will come
CODES = {(PCM, 8): "u1", (PCM, 16): "<i2", (PCM, 32): "<i4", (FLOAT, 32): "<f4", (FLOAT, 64): "<f8"}
MAXIMUM = 32_768


class Format(NamedTuple):
    """The `fmt ` chunk; `code` is what it says within, where the header is extensible."""

    code: int
    channels: int
    rate: int
    bits: int


class Wave(NamedTuple):
    """`samples`: (N,) float64 from -1 to 1, the mean of the channels; `rate`: samples a second."""

    samples: np.ndarray
    rate: int


def measure(content: bytes) -> tuple[int, int]:
    """(rate, samples of each channel) of the WAV file `content`; `Refused` as for `decode`."""
    form, data = _parts(content)
    return form.rate, len(data) // (form.channels * form.bits // 8)


def decode(content: bytes, seconds: float) -> Wave:
    """At most the first `seconds` of the WAV file `content`.

    `Refused` (rules `audio`, `damaged`, `empty`) for what is no WAV file, is cut short, or is coded in another way.
    """
    form, data = _parts(content)
    frames = min(len(data) // (form.channels * form.bits // 8), int(seconds * form.rate) + 1)
    flat = _numbers(data[: frames * form.channels * form.bits // 8], form)
    if not np.isfinite(flat).all():
        raise Refused("found NaN or an infinite value among the samples, wanted finite numbers", "damaged")
    return Wave(flat.reshape(frames, form.channels).mean(axis=1), form.rate)


def to_int16(samples: np.ndarray) -> np.ndarray:
    """Samples from -1 to 1 as 16-bit integers, what is beyond them clipped; 16-bit files come back bit for bit."""
    return np.clip(np.rint(samples * MAXIMUM), -MAXIMUM, MAXIMUM - 1).astype(np.int16)


def encode(samples: np.ndarray, rate: int) -> bytes:
    """(N,) int16 as a mono WAV file."""
    data = samples.astype("<i2").tobytes()
    head = struct.pack("<4sI4s4sIHHIIHH", b"RIFF", 36 + len(data), b"WAVE", b"fmt ", 16, PCM, 1, rate, 2 * rate, 2, 16)
    return head + struct.pack("<4sI", b"data", len(data)) + data


def _parts(content: bytes) -> tuple[Format, memoryview]:
    """The format and the bytes of the samples."""
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        raise Refused("found no WAV file (RIFF … WAVE), wanted one; convert the recording to WAV", "audio")
    form, at = None, 12
    while at + 8 <= len(content):
        name, size = struct.unpack_from("<4sI", content, at)
        body = memoryview(content)[at + 8 : at + 8 + size]
        if name == b"fmt ":
            form = _format(body)
        if name == b"data":
            if form is None:
                raise Refused("found samples before their format, wanted a whole WAV file", "damaged")
            return form, _whole(body, size, form)
        at += 8 + size + size % 2
    raise Refused("found a WAV file without samples, wanted some: it is cut short", "damaged")


def _format(body: memoryview) -> Format:
    if len(body) < 16:
        raise Refused("found a WAV file with a short format, wanted 16 bytes or more: it is damaged", "damaged")
    code, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", body)
    if code == EXTENSIBLE and len(body) >= 26:
        (code,) = struct.unpack_from("<H", body, 24)
    if (code, bits) not in CODES and (code, bits) != (PCM, 24):
        found = NAMES.get(code, f"format {code}") if code not in (PCM, FLOAT) else f"samples of {bits} bits"
        raise Refused(f"found a WAV file of {found}, wanted PCM of 8 to 32 bits, or floating point", "audio")
    if not channels or not RATES[0] <= rate <= RATES[1]:
        raise Refused(
            f"found {channels} channels of {rate} samples a second, wanted one or more of {RATES[0]} to {RATES[1]}",
            "audio",
        )
    return Format(code, channels, rate, bits)


def _whole(body: memoryview, size: int, form: Format) -> memoryview:
    width = form.channels * form.bits // 8
    if len(body) < size != UNKNOWN_SIZE:
        raise Refused(f"found {len(body)} of {size} bytes of samples, wanted all: the file is cut short", "damaged")
    if len(body) < width:
        raise Refused("found a recording without a sample, wanted some", "empty")
    return body[: len(body) // width * width]


def _numbers(data: memoryview, form: Format) -> np.ndarray:
    """The samples as float64 from -1 to 1, channels interleaved."""
    if form.bits == 24:
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        return wide.view("<i4")[:, 0] / 2.0**31
    values = np.frombuffer(data, CODES[form.code, form.bits])
    if form.code == FLOAT:
        return values.astype(np.float64)
    return (values - 128.0) / 128.0 if form.bits == 8 else values / 2.0 ** (form.bits - 1)
