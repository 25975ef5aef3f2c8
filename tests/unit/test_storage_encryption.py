"""Encryption at rest: what was encrypted comes back as it was, and nothing else does."""

import base64
import os
import random
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from storage.encryption import (
    CHUNK_BYTES,
    HEADER_BYTES,
    TAG_BYTES,
    decrypt,
    decrypted,
    enabled,
    encrypt,
    encrypted,
    encrypted_size,
    is_encrypted,
    opened,
)
from storage.errors import ConfigError, CorruptArtifact
from storage.master_keys import FILE, KEY, OLD, master_keys

ONE, TWO = (base64.b64encode(random.Random(seed).randbytes(32)).decode() for seed in (1, 2))
SIZES = [0, 1, 1000, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES, 3 * CHUNK_BYTES + 17]
SEALED_CHUNK = CHUNK_BYTES + TAG_BYTES


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (FILE, OLD):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(KEY, ONE)


def content(size: int) -> bytes:
    return random.Random(size).randbytes(size)


@pytest.mark.parametrize("size", SIZES)
def test_what_was_encrypted_comes_back_and_its_size_is_known_beforehand(size: int):
    sealed = encrypt(content(size))
    assert len(sealed) == encrypted_size(size)
    assert is_encrypted(sealed[:8])
    assert not is_encrypted(content(size))
    assert decrypt(sealed) == content(size)


@pytest.mark.parametrize("size", SIZES)
def test_the_pieces_in_which_it_comes_make_no_difference(size: int):
    draw, whole = random.Random(5), content(size)

    def pieces(data: bytes) -> list[bytes]:
        cuts = sorted(draw.randrange(len(data) + 1) for _ in range(5))
        return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]

    sealed = b"".join(encrypted(pieces(whole)))
    assert b"".join(decrypted(pieces(sealed))) == whole
    assert b"".join(decrypted(bytes([byte]) for byte in sealed[:200])) == whole if size < 100 else True
    assert b"".join(opened([sealed])) == whole
    assert b"".join(opened([whole])) == whole


def test_the_same_content_never_looks_the_same_and_shows_nothing():
    text = b"a line that would be seen " * 1000
    first, second = encrypt(text), encrypt(text)
    assert first[HEADER_BYTES:] != second[HEADER_BYTES:]
    assert b"a line" not in first


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "a chunk is left out": lambda s: s[:HEADER_BYTES] + s[HEADER_BYTES + SEALED_CHUNK :],
    "two chunks change places": lambda s: (
        s[:HEADER_BYTES]
        + s[HEADER_BYTES + SEALED_CHUNK : HEADER_BYTES + 2 * SEALED_CHUNK]
        + s[HEADER_BYTES : HEADER_BYTES + SEALED_CHUNK]
        + s[HEADER_BYTES + 2 * SEALED_CHUNK :]
    ),
    "a chunk comes twice": lambda s: s[: HEADER_BYTES + SEALED_CHUNK] + s[HEADER_BYTES:],
    "the last chunk is gone": lambda s: s[: HEADER_BYTES + 2 * SEALED_CHUNK],
    "all chunks are gone": lambda s: s[:HEADER_BYTES],
    "the last byte is gone": lambda s: s[:-1],
    "a byte follows": lambda s: s + b"\0",
    "the header is cut": lambda s: s[:30],
    "nothing is left": lambda s: b"",
    "another object's header": lambda s: encrypt(b"")[:HEADER_BYTES] + s[HEADER_BYTES:],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_was_cut_moved_or_mixed_is_refused(damage: str):
    sealed = encrypt(content(2 * CHUNK_BYTES + 500))
    with pytest.raises(CorruptArtifact, match=r"^weights: .*encrypted form"):
        decrypt(DAMAGES[damage](sealed), "weights")


def test_each_flipped_bit_is_found():
    sealed = encrypt(b"twenty-three bytes, say")
    for place in range(len(sealed) * 8):
        hurt = bytearray(sealed)
        hurt[place // 8] ^= 1 << place % 8
        with pytest.raises(CorruptArtifact):
            decrypt(bytes(hurt))


def test_nothing_comes_out_of_a_chunk_that_was_changed():
    sealed = bytearray(encrypt(content(2 * CHUNK_BYTES)))
    sealed[HEADER_BYTES + SEALED_CHUNK + 7] ^= 1
    pieces = decrypted([bytes(sealed)])
    assert next(pieces) == content(2 * CHUNK_BYTES)[:CHUNK_BYTES]
    with pytest.raises(CorruptArtifact, match="chunk 1"):
        next(pieces)


def test_without_its_key_or_with_another_it_is_said_which_is_wanted_and_no_key_is_shown(
    monkeypatch: pytest.MonkeyPatch,
):
    sealed = encrypt(b"x")
    name = master_keys().current
    assert name
    for here, said in (("", "found here: none"), (TWO, "found here: ")):
        monkeypatch.setenv(KEY, here)
        with pytest.raises(ConfigError, match=f"encrypted with the key {name.id.hex()}, {said}.*set {KEY}") as refusal:
            decrypt(sealed)
        assert not any(key in "".join(traceback.format_exception(refusal.value)) for key in (ONE, TWO))
    assert ONE not in repr(master_keys())


def test_an_earlier_key_still_reads_and_the_new_one_writes(monkeypatch: pytest.MonkeyPatch):
    before = encrypt(b"before")
    monkeypatch.setenv(KEY, TWO)
    monkeypatch.setenv(OLD, f"{ONE}, {TWO}")
    assert decrypt(before) == b"before"
    after = encrypt(b"after")
    monkeypatch.delenv(OLD)
    assert decrypt(after) == b"after"


def test_the_key_may_be_in_a_file_that_is_its_owners_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    sealed, file = encrypt(b"x"), tmp_path / "master.key"
    monkeypatch.delenv(KEY)
    monkeypatch.setenv(FILE, str(file))
    with pytest.raises(ConfigError, match=r"master\.key cannot be read"):
        enabled()
    file.write_text(ONE + "\n")
    file.chmod(0o640)
    with pytest.raises(ConfigError, match="found mode 0640, wanted 0600"):
        enabled()
    file.chmod(0o400)
    assert enabled()
    assert decrypt(sealed) == b"x"


@pytest.mark.parametrize("text", ["short", "==", base64.b64encode(b"x" * 16).decode(), "ä" * 44])
def test_a_key_that_is_none_is_refused_and_not_shown(text: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(KEY, text)
    with pytest.raises(ConfigError, match=f"encryption key in {KEY}: cannot be read; wanted the Base64") as refusal:
        enabled()
    assert text not in str(refusal.value)


def test_two_places_for_one_key_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(FILE, os.devnull)
    with pytest.raises(ConfigError, match="found both"):
        enabled()


def test_without_a_key_nothing_is_encrypted(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(KEY)
    assert not enabled()
    with pytest.raises(ConfigError, match=f"nothing to encrypt with; set {KEY}"):
        encrypt(b"x")
