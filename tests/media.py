"""Small images and recordings made for tests."""

import io
import struct
from typing import Any

import numpy as np
from PIL import Image

RED, BLUE = (255, 0, 0), (0, 0, 255)


def picture(
    size: tuple[int, int] = (6, 4), color: Any = RED, mode: str = "RGB", format: str = "PNG", **more: Any
) -> bytes:
    """An image file of one colour; `size` is (width, height)."""
    return saved(Image.new(mode, size, color), format, **more)


def saved(image: Image.Image, format: str = "PNG", **more: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **more)
    return buffer.getvalue()


def tone(hertz: float, rate: int = 8000, seconds: float = 0.5, level: float = 0.5) -> np.ndarray:
    """(N,) float64 of a sine."""
    return level * np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate)


def wav(samples: np.ndarray, rate: int = 8000, code: int = 1, bits: int = 16, extensible: bool = False) -> bytes:
    """A WAV file of (N,) or (N, channels) samples from -1 to 1, written as `code` and `bits` say."""
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    data, width = _coded(samples.reshape(-1), code, bits), channels * bits // 8
    form = struct.pack("<HHIIHH", 0xFFFE if extensible else code, channels, rate, rate * width, width, bits)
    if extensible:
        form += struct.pack("<HHIH14s", 22, bits, 0, code, bytes.fromhex("000000001000800000aa00389b71"))
    chunks = [(b"fmt ", form), (b"LIST", b"odd"), (b"data", data)]
    body = b"".join(name + struct.pack("<I", len(part)) + part + b"\0" * (len(part) % 2) for name, part in chunks)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WAVE" + body


def _coded(flat: np.ndarray, code: int, bits: int) -> bytes:
    if code == 3:
        return flat.astype(f"<f{bits // 8}").tobytes()
    if bits == 8:
        return np.rint(flat * 127 + 128).astype(np.uint8).tobytes()
    whole = np.rint(flat * (2 ** (bits - 1) - 1)).astype("<i4")
    return whole.view(np.uint8).reshape(-1, 4)[:, : bits // 8].tobytes()
