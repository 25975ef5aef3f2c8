"""The source that a run was made with, as one blob: the packages' code and package data, `pyproject.toml`, `requirements.lock`, users' modules.

The same files give the same bytes, from a checkout as from an installed wheel: names are sorted, and no time, owner, mode or path is kept.
Only kinds of files that are code are taken, so that neither settings nor keys nor data that lie beside it can come along.
"""

import hashlib
import io
import json
import os
import tarfile
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import astuple
from pathlib import Path, PurePosixPath
from types import MappingProxyType

import zstandard

from storage.blobs import Blob, put_blob, read_blob
from storage.errors import ConfigError, CorruptArtifact, NotFound
from storage.fingerprints import PACKAGES
from storage.objects import ObjectStore
from storage.root import data_root
from storage.sources import Places

SUFFIX = ".tar.zst"
USERS = "user"  # the folder of users' own modules
CODE = {".py", ".j2", ".css", ".js", ".html"}
NONE: Mapping[str, Path] = MappingProxyType({})
PROJECT_FILES = ("pyproject.toml", "requirements.lock")
_LEVEL = 9  # 1.2 MB in 50 ms to 270 kB
_KEPT = 8
_SETTLED_NANOSECONDS = 2_000_000_000  # a file changed again within one tick of the clock would look the same
_NEXT_STEP = "its source cannot be had again; reproduce another run"


def take_snapshot(store: ObjectStore, users: Mapping[str, Path] = NONE) -> Blob:
    """The blob of the source as it lies on this machine now; stored if it is not there yet.

    `users`: files of a user's own modules, by their names below the folder `user` (`own/rows.py`). Where no file looks different from
    last time, nothing is read. NotFound for a user's file that is not there.
    """
    files = _files(users)
    mark = _mark(files)
    known = _remembered().get(mark)
    if known and store.size(known.key) == known.size:
        return known
    blob = put_blob(store, _pack(files), SUFFIX)
    if _mark(_files(users)) == mark and _is_settled(files):
        _remember(mark, blob)
    return blob


def users_files(modules: Iterable[str]) -> dict[str, Path]:
    """The files of those of the modules that are not ours, by the names that `take_snapshot` wants."""
    found = {}
    for module in modules:
        if module.partition(".")[0] not in PACKAGES:
            path = _source(module)
            below = (
                [*module.split("."), path.name] if path.name == "__init__.py" else [*module.split(".")[:-1], path.name]
            )
            found["/".join(below)] = path
    return found


def unpack_snapshot(store: ObjectStore, blob: Blob, folder: Path) -> None:
    """Lay out what `take_snapshot` stored in `folder`. NotFound where it is gone, CorruptArtifact where it is damaged."""
    try:
        archive = zstandard.ZstdDecompressor().decompressobj().decompress(read_blob(store, blob))
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            contents = {member.name: (tar.extractfile(member) or io.BytesIO()).read() for member in tar}
    except NotFound:
        raise NotFound(f"source {blob.key} is not in store {store.url}; {_NEXT_STEP}") from None
    except (CorruptArtifact, zstandard.ZstdError, tarfile.TarError) as error:
        raise CorruptArtifact(f"source {blob.key} in store {store.url} is damaged ({error}); {_NEXT_STEP}") from error
    for name, content in contents.items():
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise CorruptArtifact(
                f"source {blob.key} in store {store.url} holds {name!r}, wanted names below its folder; {_NEXT_STEP}"
            )
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def _files(users: Mapping[str, Path]) -> dict[str, Path]:
    """The files by their names in the snapshot, sorted."""
    found = dict(_project_files())
    for package in PACKAGES:
        found |= _package_files(package)
    root = data_root()
    found = {name: path for name, path in found.items() if not path.is_relative_to(root)}
    for name, path in users.items():
        if not path.is_file():
            raise NotFound(f"file {path}, which this run reaches, is not there to be kept with it; run again")
        found[f"{USERS}/{name}"] = path
    return dict(sorted(found.items()))


def _package_files(package: str) -> Iterator[tuple[str, Path]]:
    top = _source(package).parent
    for folder, folders, names in os.walk(top):
        folders[:] = [name for name in folders if name != "__pycache__" and not name.startswith(".")]
        for name in names:
            path = Path(folder, name)
            if path.suffix in CODE and not name.startswith(".") and not path.is_symlink():
                yield f"{package}/{path.relative_to(top).as_posix()}", path


def _project_files() -> Iterator[tuple[str, Path]]:
    """Beside the packages in a checkout; in the distribution's metadata where a wheel is installed."""
    beside = _source(PACKAGES[0]).parent.parent
    folder = next(beside.glob("millrace-*.dist-info/extra_metadata"), beside)
    for name in PROJECT_FILES:
        if (folder / name).is_file():
            yield name, folder / name


def _source(module: str) -> Path:
    place = Places().find(module)
    if place is None:
        raise ConfigError(
            f"module {module!r} has no source that could be kept with the run; install Millrace from a wheel or a checkout"
        )
    return Path(place.path)


def _pack(files: Mapping[str, Path]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, path in files.items():
            content, member = path.read_bytes(), tarfile.TarInfo(name)  # time, owner and mode are always the same
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return zstandard.ZstdCompressor(level=_LEVEL).compress(buffer.getvalue())


def _mark(files: Mapping[str, Path]) -> str:
    """What the file system says of the files, as one digest."""
    digest = hashlib.sha256()
    for name, path in files.items():
        told = path.stat()
        digest.update(f"{name}\0{path}\0{told.st_size} {told.st_mtime_ns} {told.st_ctime_ns} {told.st_ino}\n".encode())
    return digest.hexdigest()


def _is_settled(files: Mapping[str, Path]) -> bool:
    return time.time_ns() - max(path.stat().st_ctime_ns for path in files.values()) > _SETTLED_NANOSECONDS


def _memo() -> Path:
    return data_root() / "snapshots.json"


def _remembered() -> dict[str, Blob]:
    """Losing the memo costs a packing, never a wrong answer."""
    try:
        return {mark: Blob(*blob) for mark, blob in json.loads(_memo().read_text()).items()}
    except (OSError, ValueError, TypeError, AttributeError, ConfigError):
        return {}


def _remember(mark: str, blob: Blob) -> None:
    kept = {**dict(list(_remembered().items())[1 - _KEPT :]), mark: blob}
    path = _memo()
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}")
    partial.write_text(json.dumps({name: astuple(known) for name, known in kept.items()}))
    partial.replace(path)
