"""The SHA-256 of files on this machine, read once: remembered by path, inode, size and times, for this process and for later ones.

What is remembered lies in the data root, as `digests.sqlite`. Losing it costs time and nothing else; where it cannot be kept, each process
hashes for itself. Every change of a file's content changes its ctime, which nobody can set back.
"""

import hashlib
import os
import sqlite3
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from storage.encryption import decrypted_file, decrypted_size
from storage.root import data_root

Mark = tuple[int, int, int, int]  # inode, size, mtime and ctime in nanoseconds
_SETTLED_NANOSECONDS = 2_000_000_000  # a file changed again within one tick of the clock would look the same
_SEALED = "#sealed"
_TABLES = """
CREATE TABLE IF NOT EXISTS digests
(path TEXT PRIMARY KEY, inode INTEGER, size INTEGER, mtime INTEGER, ctime INTEGER, digest TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS etags (url TEXT PRIMARY KEY, etag TEXT) WITHOUT ROWID;
"""


def measured(path: Path, anew: bool = False, sealed: bool = False) -> tuple[int, str] | None:
    """Size in bytes and SHA-256 of a local file, None if there is none. `anew`: read it whatever is remembered. `sealed`: it is encrypted,
    and what counts is what it holds; CorruptArtifact where that cannot be told.
    """
    name = f"{path}{_SEALED}" if sealed else str(path)
    try:
        status = path.stat()
        mark = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        remembered = None if anew else _memo().recall(name, mark)
        if remembered:
            return decrypted_size(status.st_size) if sealed else status.st_size, remembered
        size, digest = _read_sealed(path) if sealed else _read(path)
    except FileNotFoundError:
        return None
    if time.time_ns() - status.st_ctime_ns > _SETTLED_NANOSECONDS:
        _memo().remember(name, mark, digest)
    return size, digest


def _read(path: Path) -> tuple[int, str]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return file.tell(), digest


def _read_sealed(path: Path) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    for piece in decrypted_file(path):
        digest.update(piece)
        size += len(piece)
    return size, digest.hexdigest()


def saw_whole(url: str, etag: str) -> None:
    """Remember that the object at `url` was whole when it bore this ETag."""
    if etag:
        _memo().ask("INSERT OR REPLACE INTO etags VALUES (?,?)", (url, etag))


def whole_etag(url: str) -> str | None:
    """The ETag that the object bore when this machine last saw it whole; None where it never did, or forgot."""
    rows = _memo().ask("SELECT etag FROM etags WHERE url = ?", (url,))
    return rows[0][0] if rows else None


class _Memo:
    """What is remembered in one data root. Safe for threads, and for several processes; each process opens its own."""

    def __init__(self, file: Path) -> None:
        self.file, self.process = file, os.getpid()
        self._lock = threading.Lock()
        self._known: dict[str, tuple[Mark, str]] = {}
        self._open = _opened(file)

    def recall(self, path: str, mark: Mark) -> str | None:
        with self._lock:
            known = self._known.get(path)
            if known is None or known[0] != mark:
                known = self._stored(path)
            return known[1] if known and known[0] == mark else None

    def remember(self, path: str, mark: Mark, digest: str) -> None:
        with self._lock:
            self._known[path] = mark, digest
            self._ask("INSERT OR REPLACE INTO digests VALUES (?,?,?,?,?,?)", (path, *mark, digest))

    def forget_missing(self) -> None:
        """Drop what is remembered of files that are gone."""
        with self._lock:
            for (path,) in self._ask("SELECT path FROM digests"):
                if not os.path.lexists(path.removesuffix(_SEALED)):
                    self._ask("DELETE FROM digests WHERE path = ?", (path,))

    def _stored(self, path: str) -> tuple[Mark, str] | None:
        for row in self._ask("SELECT inode, size, mtime, ctime, digest FROM digests WHERE path = ?", (path,)):
            self._known[path] = row[:4], row[4]
        return self._known.get(path)

    def ask(self, query: str, values: tuple[Any, ...]) -> list[Any]:
        with self._lock:
            return self._ask(query, values)

    def _ask(self, query: str, values: tuple[Any, ...] = ()) -> list[Any]:
        """The answer; none where the table is busy for long or cannot be read. One that is damaged is made anew by the next process."""
        try:
            return self._open.execute(query, values).fetchall() if self._open else []
        except sqlite3.OperationalError:
            return []
        except sqlite3.DatabaseError:
            self._open = None
            _removed(self.file)
            return []


def _opened(file: Path) -> sqlite3.Connection | None:
    """The table in `file`, made where there is none or none that can be read; None where it cannot be kept."""
    for _ in range(2):
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(file, timeout=5, isolation_level=None, check_same_thread=False)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=OFF")  # lost with the machine's power: it costs time only
            connection.executescript(_TABLES)
            return connection
        except sqlite3.OperationalError:
            return None
        except OSError:
            return None
        except sqlite3.DatabaseError:
            _removed(file)
    return None


def _removed(file: Path) -> None:
    for part in (file, Path(f"{file}-wal"), Path(f"{file}-shm")):
        with suppress(OSError):
            part.unlink(missing_ok=True)


_current: _Memo | None = None
_making = threading.Lock()


def _memo() -> _Memo:
    """The data root's, whichever it is now."""
    global _current
    file = data_root() / "digests.sqlite"
    if _current is None or _current.file != file or _current.process != os.getpid():
        with _making:
            if _current is None or _current.file != file or _current.process != os.getpid():
                _current = _Memo(file)
    return _current


def forget_missing() -> None:
    """Drop what is remembered of files that are gone."""
    _memo().forget_missing()
