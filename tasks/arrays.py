"""Features as whole arrays: put together of the parts that each shard has, as local files."""

import hashlib
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from storage.downloads import downloads_folder
from storage.encryption import enabled
from storage.manifests import Manifest, fetch_files, read_manifest
from storage.measuring import measured
from storage.objects import ObjectStore
from storage.root import scratch_folder, temporary_folder
from tasks import splits as order
from tasks.splits import SPLITS
from tasks.stored import link
from tasks.transforms import streams, windows
from tasks.transforms.streams import PACKINGS, write_stream
from tasks.transforms.windows import TOKENS, row_arrays


def lay_out_arrays(store: ObjectStore, features: str, folder: Path) -> Path:
    """The files of `fetch_arrays`, of all splits, in `folder`."""
    return link(fetch_arrays(store, features), folder)


def fetch_arrays(store: ObjectStore, features: str, splits: Iterable[str] = SPLITS) -> dict[str, Path]:
    """Local files, not to be written to, by name: `{split}/x.npy` and `{split}/y.npy` of each split, rows in the order of the shards.

    Of a language model `train` is a token file (`tasks.transforms.streams`); the others are windows (`tasks.transforms.windows`), with `rows`
    and `sizes`.
    Put together of verified parts once for each data root, for each process where a key encrypts what is stored; one that was changed since, or made by other code, is put together again.
    """
    manifest = read_manifest(store, features)
    kept = (
        temporary_folder() if enabled() else downloads_folder()
    )  # where what is stored is encrypted, this is not kept
    folder = kept / "features" / f"{features}-{_way()}"
    names = {split: [f"{split}/{name}" for name in _files_of(manifest, split)] for split in splits}
    for split, wanted in names.items():
        if not all(_is_whole(folder / name) for name in wanted):
            _put_together(store, manifest, split, folder)
    return {name: folder / name for wanted in names.values() for name in wanted}


@dataclass(frozen=True)
class Part:
    """A split's `count` rows of one shard, from row `start` on of its files."""

    x: Path
    y: Path
    start: int
    count: int

    def rows(self, array: str) -> np.ndarray:
        whole = np.load(getattr(self, array), mmap_mode="r", allow_pickle=False)
        return np.array(whole[self.start : self.start + self.count])

    def tokens(self) -> tuple[np.ndarray, np.ndarray]:
        """Of a language model: the tokens of the rows, one after the other, and what is known of each row."""
        known = np.load(self.y, allow_pickle=False)
        stop = self.start + self.count
        first, last = known[: self.start, TOKENS].sum(), known[:stop, TOKENS].sum()
        return np.array(np.load(self.x, mmap_mode="r", allow_pickle=False)[first:last]), known[self.start : stop]


def _files_of(manifest: Manifest, split: str) -> tuple[str, ...]:
    if manifest.meta["task"] != "language_model":
        return ("x.npy", "y.npy")
    if split == "train":
        return PACKINGS[manifest.meta["windows"]["packing"]]
    return ("x.npy", "y.npy", "rows.npy", "sizes.npy")


@cache
def _way() -> str:
    """What puts arrays together: another version of it may come to others."""
    code = b"".join(
        Path(str(file)).read_bytes() for file in (__file__, order.__file__, streams.__file__, windows.__file__)
    )
    return hashlib.sha256(code + np.__version__.encode()).hexdigest()[:16]


def _is_whole(path: Path) -> bool:
    """Whether the array is there, and what it was when it was put together."""
    found = measured(path)
    with suppress(FileNotFoundError):  # another process may be putting it there now
        return found is not None and _digest_file(path).read_text() == found[1]
    return False


def _digest_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _put_together(store: ObjectStore, manifest: Manifest, split: str, folder: Path) -> None:
    parts = _parts(store, manifest, split)
    with scratch_folder("arrays") as scratch:
        if manifest.meta["task"] == "language_model":
            _save_windows(manifest, split, parts, scratch)
        else:
            _join(parts, scratch)
        (folder / split).mkdir(parents=True, exist_ok=True)
        for made in scratch.iterdir():
            path = folder / split / made.name
            found = measured(made)
            _digest_file(path).unlink(missing_ok=True)
            os.replace(made, path)
            _digest_file(path).write_text(found[1] if found else "")


def _parts(store: ObjectStore, manifest: Manifest, split: str) -> list[Part]:
    """Of each shard that has rows of the split."""
    place = SPLITS.index(split)
    counted = [(f"{index:05d}", rows) for index, rows in enumerate(manifest.meta["shards"]) if rows[place]]
    own = {index: f"{index}-{split}" if f"x/{index}-{split}.npy" in manifest.files else index for index, _ in counted}
    paths = fetch_files(store, manifest, [f"{array}/{name}.npy" for name in own.values() for array in ("x", "y")])
    return [
        Part(
            paths[f"x/{own[index]}.npy"],
            paths[f"y/{own[index]}.npy"],
            0 if own[index] != index else sum(rows[:place]),
            rows[place],
        )
        for index, rows in counted
    ]


def _join(parts: list[Part], folder: Path) -> None:
    """`x.npy` and `y.npy` of all rows; memory holds one shard's."""
    count = sum(part.count for part in parts)
    for array in ("x", "y"):
        whole, end = None, 0
        for part in parts:
            rows = part.rows(array)
            if whole is None:
                shape = (count, *rows.shape[1:])
                whole = np.lib.format.open_memmap(folder / f"{array}.npy", mode="w+", dtype=rows.dtype, shape=shape)
            whole[end : end + part.count] = rows
            end += part.count


def _save_windows(manifest: Manifest, split: str, parts: list[Part], folder: Path) -> None:
    """A language model's token file, or windows; memory holds the tokens of one shard, or of a split that is scored."""
    settings = manifest.meta["windows"]
    tokens = (part.tokens() for part in parts)
    if split == "train":
        write_stream(folder, tokens, **settings)
        return
    ids, rows_N4 = (np.concatenate(arrays) for arrays in zip(*tokens, strict=True))
    for name, array in row_arrays(ids, rows_N4, settings["context"], settings["end"]).items():
        np.save(folder / f"{name}.npy", array)
