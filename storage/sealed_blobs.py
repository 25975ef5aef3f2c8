"""Blobs that are encrypted in their store. Their names and sizes are those of what they hold, so that nothing else has to know.

That a stored object is the encrypted form of a blob is told by its size and its first bytes.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile

from storage.encryption import (
    MAGIC,
    decrypt,
    decrypted_file,
    decrypted_size,
    enabled,
    encrypt,
    encrypted,
    encrypted_size,
    is_encrypted,
    pieces_of,
)
from storage.errors import CorruptArtifact
from storage.master_keys import master_keys
from storage.measuring import measured
from storage.root import scratch_folder, temporary_folder

UNREADABLE = "none: its encrypted form is damaged"


def fits(size: int, stored: int) -> bool:
    """Whether a blob of `size` bytes may be an object of so many: as it is, or encrypted."""
    return stored in (size, encrypted_size(size))


@contextmanager
def to_store(data: bytes | Path) -> Iterator[bytes | Path]:
    """What is to be stored of a blob's content: encrypted, where a key is configured."""
    if not enabled():
        yield data
    elif isinstance(data, bytes):
        yield encrypt(data)
    else:
        with scratch_folder("encrypt") as folder, (folder / "blob").open("wb") as file:
            file.writelines(encrypted(pieces_of(data)))
            file.flush()
            yield folder / "blob"


def from_store(content: bytes, size: int, name: str) -> bytes:
    """The content of a blob of `size` bytes, of which the store gave this; CorruptArtifact, ConfigError."""
    return decrypt(content, name) if _is_sealed(content[: len(MAGIC)], len(content), size) else content


def is_sealed(path: Path, size: int) -> bool:
    """Whether the file is the encrypted form of a blob of `size` bytes."""
    try:
        if path.stat().st_size != encrypted_size(size):
            return False
        with path.open("rb") as file:
            return is_encrypted(file.read(len(MAGIC)))
    except FileNotFoundError:
        return False


def measured_blob(path: Path, size: int, anew: bool = False) -> tuple[int, str] | None:
    """`measured`, of what the file of a blob of `size` bytes holds; where its encrypted form is damaged, no digest fits."""
    try:
        return measured(path, anew, sealed=is_sealed(path, size))
    except CorruptArtifact:
        return decrypted_size(path.stat().st_size), UNREADABLE


def decrypted_copy(path: Path, key: str) -> Path:
    """What an encrypted file holds, as a file that nobody else may read and that ends with this process."""
    target = temporary_folder() / "decrypted" / key
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=target.parent, delete=False) as file:
            file.writelines(decrypted_file(path))
        os.replace(file.name, target)
    return target


def forget_copies() -> None:
    """Remove this process's decrypted copies, where it has read what it needs of them."""
    if master_keys().known:
        shutil.rmtree(temporary_folder() / "decrypted", ignore_errors=True)


def _is_sealed(head: bytes, stored: int, size: int) -> bool:
    return stored == encrypted_size(size) and is_encrypted(head)
