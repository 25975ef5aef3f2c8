"""Real text in any amount: the source files and documentation that lie on this machine, each content once."""

import hashlib
import os
import sysconfig
from collections.abc import Iterator
from pathlib import Path

ROOTS = (
    sysconfig.get_paths()["stdlib"],
    "/usr/share",
    "/usr/lib/python3",
    sysconfig.get_paths()["purelib"],
    "/usr/include",
)
SUFFIXES = (
    ".py",
    ".pyi",
    ".md",
    ".rst",
    ".txt",
    ".html",
    ".h",
    ".hpp",
    ".c",
    ".js",
    ".css",
    ".xml",
    ".pl",
    ".pm",
    ".pod",
)
DENSE_BYTES = 1 << 20  # larger files are tables and generated code


def documents(most: int) -> list[str]:
    """Texts of files in a fixed order, none twice, of `most` bytes together; less where the machine has less."""
    found, seen, size = [], set[bytes](), 0
    for path in _files():
        content = path.read_bytes() if path.is_file() and path.stat().st_size <= DENSE_BYTES else b""
        digest = hashlib.blake2b(content, digest_size=16).digest()
        if not content.strip() or b"\0" in content or digest in seen:
            continue
        try:
            text = content.decode()
        except UnicodeDecodeError:
            continue
        seen.add(digest)
        found.append(text)
        size += len(content)
        if size >= most:
            break
    return found


def _files() -> Iterator[Path]:
    for root in ROOTS:
        for folder, folders, names in os.walk(root):
            folders.sort()
            yield from (Path(folder, name) for name in sorted(names) if name.endswith(SUFFIXES))
