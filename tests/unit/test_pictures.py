"""Image files: every kind comes to the same pixels, and what is no single whole picture is refused with its reason."""

import io
import struct
import zlib
from contextlib import suppress

import numpy as np
import pytest
from media import BLUE, RED, picture, saved
from PIL import Image

from tasks.transforms.items import Refused
from tasks.transforms.pictures import decode, encode_png, measure


def refusal(content: bytes) -> Refused:
    with pytest.raises(Refused) as caught:
        decode(content, (4, 4, 3), "letterbox")
    return caught.value


def noise(height: int, width: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, channels), dtype=np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_of_the_wanted_size_keeps_its_pixels_bit_for_bit(channels: int):
    pixels = noise(5, 7, channels)
    assert (decode(encode_png(pixels), (5, 7, channels), "letterbox") == pixels).all()


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM"])
def test_every_format_gives_the_colour_it_shows(format: str):
    pixels = decode(picture((8, 8), BLUE, format=format), (8, 8, 3), "letterbox")
    assert np.abs(pixels.astype(int) - BLUE).max() < 6


def test_a_letterbox_keeps_the_proportions_and_a_stretch_does_not():
    wide = picture((8, 4), RED)
    boxed, stretched = (decode(wide, (8, 8, 3), how) for how in ("letterbox", "stretch"))
    assert [row[0] for row in boxed[:, 0].tolist()] == [0, 0, 255, 255, 255, 255, 0, 0]
    assert (stretched == RED).all()


def test_a_photograph_taken_sideways_is_shown_upright():
    image = Image.new("RGB", (2, 6), RED)
    image.paste(BLUE, (0, 3, 2, 6))
    exif = Image.Exif()
    exif[0x0112] = 6  # shown after a quarter turn clockwise: what is the lower half here is the left half then
    content = saved(image, exif=exif)
    assert measure(content) == (2, 6, 3)
    assert decode(content, (2, 6, 3), "letterbox")[0].tolist() == [list(BLUE)] * 3 + [list(RED)] * 3


def test_transparent_parts_are_white_and_a_palette_is_colour():
    image = Image.new("RGBA", (2, 1), (255, 0, 0, 0))
    image.putpixel((1, 0), (0, 0, 255, 255))
    assert decode(saved(image), (1, 2, 3), "letterbox").tolist() == [[[255, 255, 255], list(BLUE)]]
    assert measure(saved(image.convert("P")))[2] == 3


def test_sixteen_bits_become_eight_without_clipping():
    deep = Image.fromarray(np.array([[0, 0x8000, 0xFFFF]], np.uint16))
    assert decode(saved(deep), (1, 3, 1), "letterbox").ravel().tolist() == [0, 128, 255]


def test_a_truncated_picture_is_damaged_and_text_is_no_image():
    content = encode_png(noise(40, 40))
    assert refusal(content[: len(content) // 2]).rule == "damaged"
    assert refusal(picture((64, 64), format="JPEG")[:300]).rule == "damaged"
    assert refusal(b"label,text\n").rule == "image"
    assert refusal(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n").rule == "image"  # would start Ghostscript


def test_damage_anywhere_is_a_refusal_and_never_another_error():
    content, draw = encode_png(noise(20, 20)), np.random.default_rng(1)
    for _ in range(200):
        broken = bytearray(content)
        broken[draw.integers(len(broken))] ^= 1 << draw.integers(8)
        with suppress(Refused):
            assert decode(bytes(broken), (4, 4, 3), "letterbox").shape == (4, 4, 3)


def test_an_animation_is_refused_and_a_file_of_one_frame_is_not():
    frames = [Image.new("L", (4, 4), value) for value in (0, 255)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    assert refusal(buffer.getvalue()).rule == "animated"
    assert decode(picture((4, 4), format="GIF"), (4, 4, 3), "letterbox").shape == (4, 4, 3)


def test_a_few_bytes_that_claim_thousands_of_millions_of_pixels_are_refused_unread():
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    for side in (8_000, 60_000):
        header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
        bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
        assert refusal(bomb).rule == "too_large"
