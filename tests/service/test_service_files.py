"""Image and sound files sent to the real service: base64 within the JSON, decoded off the event loop, bounded before decoding."""

import struct
import zlib
from collections.abc import Iterator

import numpy as np
import pytest
from handmade import Running, serving
from handmade_images import SHAPE, colour_store, text
from media import BLUE, RED, picture


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("colours")
    store, _ = colour_store(folder)
    with serving(store, folder, name="colours") as running:
        yield running


def test_files_of_any_size_and_nested_lists_are_answered_together(service: Running):
    jpeg = "data:image/jpeg;base64," + text(picture((300, 200), RED, format="JPEG"))
    pixels = np.broadcast_to(BLUE, SHAPE).tolist()
    items = [text(picture((16, 9), BLUE)), jpeg, pixels, {"image": text(picture((8, 8), RED))}]
    answer = service.client.post("/predict", json={"input_data": items})
    assert answer.json()["prediction"] == ["blue", "red", "blue", "red"]


def test_a_file_that_cannot_be_decoded_is_refused_by_its_number(service: Running):
    answer = service.client.post("/predict", json={"input_data": [text(picture((8, 8))), text(picture((8, 8))[:48])]})
    assert answer.status_code == 422
    assert answer.json()["error"]["item"] == 1
    assert "found a damaged image" in answer.json()["error"]["message"]


def test_a_small_file_that_claims_many_pixels_is_refused_at_once(service: Running):
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 30_000, 30_000, 1, 0, 0, 0, 0))
    bomb = b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(30_000 * 3751))) + chunk(b"IEND", b"")
    answer = service.client.post("/predict", json={"input_data": [text(bomb)]})
    assert answer.status_code == 422
    assert "50,000,000" in answer.json()["error"]["message"]


def test_the_openapi_document_says_that_an_item_may_be_a_file(service: Running):
    document = service.client.get("/openapi.json").json()
    content = document["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]
    assert {"type": "string", "contentEncoding": "base64", "contentMediaType": "image/*"} in (
        content["schema"]["properties"]["input_data"]["items"]["anyOf"]
    )
