"""Stored files as the stages want them: as bytes by name, or laid out in a folder."""

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from storage.blobs import read_blob
from storage.manifests import Manifest, fetch_files
from storage.objects import ObjectStore


def read_files(store: ObjectStore, manifest: Manifest, below: str = "") -> dict[str, bytes]:
    """The verified content of the files whose names start with `below`, by the rest of their names."""
    return {
        name.removeprefix(below): read_blob(store, blob)
        for name, blob in manifest.files.items()
        if name.startswith(below)
    }


def lay_out(store: ObjectStore, manifest: Manifest, folder: Path, names: Iterable[str] | None = None) -> Path:
    """Verified files under their own names in `folder`: links where that is possible, else copies."""
    return link(fetch_files(store, manifest, names), folder)


def link(files: Mapping[str, Path], folder: Path) -> Path:
    """The files under their names in `folder`: links, or copies where there are none."""
    for name, source in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        try:
            target.symlink_to(source)
        except OSError:
            shutil.copyfile(source, target)
    return folder


def collect(folder: Path, leave_out: Iterable[str] = ()) -> dict[str, Path]:
    """All files below `folder` by their names relative to it."""
    left_out = set(leave_out)
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {name: path for name, path in files.items() if name not in left_out}
