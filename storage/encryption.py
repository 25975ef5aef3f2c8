"""Encryption at rest: what is stored is encrypted here, before it leaves this machine, under a key that is never in the store.

Envelope encryption: each object has a random key of its own, wrapped by the master key (AES key wrap, RFC 3394). The content goes in chunks
of 1 MiB by AES-256-GCM in the STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár: Online Authenticated-Encryption and its
Nonce-Reuse Misuse-Resistance, CRYPTO 2015): the nonce is the chunk's number and whether it is the last, so that no chunk can be changed,
moved, repeated or left out.

    magic 8 | version 1 | id of the master key 8 | wrapped key 40 | CRC-32 of these 4 | chunks, each with its tag of 16 bytes
"""

import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from storage.errors import ConfigError, CorruptArtifact
from storage.master_keys import MasterKeys, master_keys

MAGIC = b"MRSEALED"
CHUNK_BYTES = 1 << 20
_PIECE_BYTES = 8 << 20
_VERSION = b"\1"
_START = MAGIC + _VERSION
_ID = slice(len(_START), len(_START) + 8)
_WRAPPED = slice(_ID.stop, _ID.stop + 40)
_CHECK = slice(_WRAPPED.stop, _WRAPPED.stop + 4)
HEADER_BYTES, TAG_BYTES, _KEY_BYTES = _CHECK.stop, 16, 32


def enabled() -> bool:
    """Whether a master key is configured: then what is stored is encrypted. ConfigError for one that cannot be used."""
    return master_keys().current is not None


def encrypt(data: bytes) -> bytes:
    """`data`, encrypted under the master key. ConfigError where there is none."""
    return b"".join(encrypted([data]))


def decrypt(data: bytes, name: str = "the data") -> bytes:
    """What `encrypt` was given. ConfigError where its master key is not here; CorruptArtifact for anything but its whole result.

    `name`: what messages call the data.
    """
    return b"".join(decrypted([data], name))


def encrypt_if_enabled(data: bytes) -> bytes:
    """`data`, encrypted where a master key is configured."""
    return encrypt(data) if enabled() else data


def decrypt_if_encrypted(data: bytes, name: str = "the data") -> bytes:
    """`data`, decrypted where it is encrypted; errors as by `decrypt`."""
    return decrypt(data, name) if is_encrypted(data) else data


def is_encrypted(head: bytes) -> bool:
    """Whether an object that begins so is encrypted by us; its first 8 bytes will do."""
    return head.startswith(MAGIC)


def encrypted_size(size: int) -> int:
    """How many bytes so many become."""
    return HEADER_BYTES + size + TAG_BYTES * max(1, -(-size // CHUNK_BYTES))


def decrypted_size(size: int) -> int:
    """How many bytes an encrypted form of so many holds."""
    chunks = size - HEADER_BYTES
    return chunks - TAG_BYTES * -(-chunks // (CHUNK_BYTES + TAG_BYTES))


def encrypted(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The encrypted form of a content that comes in pieces, piece by piece."""
    keys = master_keys()
    if keys.current is None:
        raise ConfigError(f"nothing to encrypt with; {keys.advice}")
    own = AESGCM.generate_key(_KEY_BYTES * 8)
    start = _START + keys.current.id + aes_key_wrap(keys.current.key, own)
    header = start + zlib.crc32(start).to_bytes(4, "big")
    cipher = AESGCM(own)
    yield header
    for number, (chunk, last) in enumerate(_chunks(pieces, CHUNK_BYTES)):
        yield cipher.encrypt(_nonce(number, last), chunk, header)


def decrypted(pieces: Iterable[bytes], name: str = "the data") -> Iterator[bytes]:
    """The content of an encrypted form, piece by piece: each is genuine and at its place, the whole only if the end is reached."""
    rest = iter(pieces)
    head = b""
    while len(head) < HEADER_BYTES and (piece := next(rest, None)) is not None:
        head += piece
    header = head[:HEADER_BYTES]
    cipher = AESGCM(_own_key(header, name))
    for number, (chunk, last) in enumerate(_chunks(_and_then(head[HEADER_BYTES:], rest), CHUNK_BYTES + TAG_BYTES)):
        try:
            yield cipher.decrypt(_nonce(number, last), chunk, header)
        except (InvalidTag, ValueError):
            raise CorruptArtifact(
                f"{name}: chunk {number} of its encrypted form was changed, moved or cut; restore it from a backup or make it again"
            ) from None


def pieces_of(path: Path) -> Iterator[bytes]:
    """A file's content in pieces."""
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            yield piece


def decrypted_file(path: Path) -> Iterator[bytes]:
    """What an encrypted file holds, as `decrypted`."""
    return decrypted(pieces_of(path), str(path))


def opened(pieces: Iterable[bytes], name: str = "the data") -> Iterator[bytes]:
    """A content that comes in pieces, decrypted if it is encrypted."""
    rest = iter(pieces)
    first = next(rest, b"")
    whole = _and_then(first, rest)
    return decrypted(whole, name) if is_encrypted(first) else whole


def _chunks(pieces: Iterable[bytes], size: int) -> Iterator[tuple[bytes, bool]]:
    """The content in chunks of `size`, and whether each is the last: that may be shorter, and is empty only where all is."""
    held = bytearray()
    for piece in pieces:
        held += piece
        whole = (len(held) - 1) // size  # a full one may yet be the last
        for number in range(whole):
            yield bytes(held[number * size : (number + 1) * size]), False
        if whole > 0:
            del held[: whole * size]
    yield bytes(held), True


def _nonce(number: int, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])


def _own_key(header: bytes, name: str) -> bytes:
    if len(header) < HEADER_BYTES or zlib.crc32(header[: _CHECK.start]).to_bytes(4, "big") != header[_CHECK]:
        raise CorruptArtifact(
            f"{name}: its encrypted form begins with no whole header; restore it from a backup or make it again"
        )
    if not header.startswith(_START):
        raise ConfigError(f"{name}: encrypted in a form that this version does not know; install a later one")
    keys: MasterKeys = master_keys()
    master = keys.known.get(header[_ID])
    if master is None:
        here = ", ".join(sorted(known.hex() for known in keys.known)) or "none"
        raise ConfigError(f"{name}: encrypted with the key {header[_ID].hex()}, found here: {here}; {keys.advice}")
    try:
        return aes_key_unwrap(master, header[_WRAPPED])
    except InvalidUnwrap:
        raise CorruptArtifact(f"{name}: the key in its encrypted form was changed; restore it from a backup") from None


def _and_then(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest
