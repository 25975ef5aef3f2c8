"""Which files a data section means: globs, folders and archives resolved to entries, each with its format and split."""

import posixpath
from collections import Counter
from dataclasses import dataclass
from typing import Any

from storage.errors import ConfigError, NotFound
from tasks.frames.faults import reading
from tasks.frames.filesystems import filesystem, hidden
from tasks.frames.streams import Entry, is_archive, list_members, plain_name
from tasks.sections import DataSection, Source

FORMATS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}
FOLDERS = ("text_folders", "image_folders", "audio_folders")
LOOSE = (*FOLDERS, "documents")  # formats of which one file is one row, or a few
OF_KIND = {"image": "image_folders", "audio": "audio_folders"}  # what files are whose names say nothing else
MAGIC = "*?["
IDX_IMAGES, IDX_LABELS = "images-idx3-ubyte", "labels-idx1-ubyte"


@dataclass(frozen=True)
class Group:
    """Entries of one format and split. `archive`, `pattern`: where they are files in label folders in an archive, in its order."""

    format: str
    split: str
    entries: tuple[Entry, ...]
    archive: Entry | None = None
    pattern: str = ""


def find_groups(section: DataSection) -> list[Group]:
    """The sources' files in order. NotFound where a source matches nothing; ConfigError where a format cannot be told."""
    located = [(source, locate(section, source)) for source in section.sources]
    owners: dict[str, set[str]] = {}
    for name, url in (file for _, files in located for file in files):
        owners.setdefault(name, set()).add(url)
    groups: list[Group] = []
    for index, (source, files) in enumerate(located):
        named = [(name if len(owners[name]) == 1 else f"{index}:{name}", url) for name, url in files]
        groups.extend(_groups(section, source, named))
    _refuse_repeats(groups)
    return groups


def locate(section: DataSection, source: Source) -> list[tuple[str, str]]:
    """(name, URL) of each file of `source`, sorted by name; with IDX images the labels beside them."""
    if section.format == "sklearn" or source.url.startswith("sklearn:"):
        name = "sklearn:" + source.url.removeprefix("sklearn:")
        return [(name, name)]
    url = _joined(section.root, source.url)
    with reading(url):
        fs, path = filesystem(url)
        fs.invalidate_cache()  # a listing kept from an earlier run says nothing of today's files
        magic = [path.index(char) for char in _magic(path) if char in path]
        if magic:
            paths = [p for p in fs.glob(path) if not fs.isdir(p)]
            base = posixpath.dirname(path[: min(magic)])
        elif fs.isdir(path):
            paths, base = fs.find(path), path
        else:
            paths, base = [path] if fs.exists(path) else [], posixpath.dirname(path)
        if not paths and "s3" in fs.protocol:
            fs.info(path)  # says whether it is the bucket that is missing
        paths = {label for p in paths for label in (p, labels_beside(fs, str(p))) if label}
    base = _base(section.root, source.url) or base
    visible = [str(p) for p in paths if not posixpath.basename(str(p)).startswith(".")]
    if not visible:
        raise NotFound(
            f"data.sources: no file matches {hidden(source.url)!r} (looked for {hidden(url)}); check the pattern and data.root"
        )
    return sorted((posixpath.relpath(p, base), fs.unstrip_protocol(p)) for p in visible)


def _magic(path: str) -> str:
    """The characters that make a glob of `path`; a question mark in an HTTP URL begins its query."""
    return MAGIC.replace("?", "") if path.startswith(("http://", "https://")) else MAGIC


def labels_beside(fs: Any, path: str) -> str:
    """The labels file beside the IDX images file `path`, compressed or not; empty where `path` is none or there is no such file."""
    if IDX_IMAGES not in path:
        return ""
    bare = path.replace(IDX_IMAGES, IDX_LABELS).removesuffix(".gz")
    return next((found for found in (bare + ".gz", bare) if fs.exists(found)), "")


def _base(root: str, url: str) -> str:
    """The folder that names are relative to, where `url` lies below `root`; else empty, and the source's own folder is used."""
    if "://" in url or posixpath.isabs(url) or posixpath.normpath(url).startswith(".."):
        return ""
    return str(filesystem(root or ".")[1])


def _joined(root: str, url: str) -> str:
    absolute = "://" in url or "::" in url or posixpath.isabs(url)
    return url if absolute or not root else f"{root.rstrip('/')}/{url}"


def _groups(section: DataSection, source: Source, files: list[tuple[str, str]]) -> list[Group]:
    groups: list[Group] = []
    loose: dict[str, list[Entry]] = {}
    for name, url in files:
        if is_archive(url):
            groups.extend(_archive_groups(section, source, name, url))
        elif _is_labels(section, name):
            continue
        elif (format := _format(section, name)) in LOOSE:
            loose.setdefault(format, []).append(Entry(url, "", name))
        else:
            groups.append(Group(format, source.split, (Entry(url, "", name),)))
    groups.extend(Group(format, source.split, tuple(entries)) for format, entries in loose.items())
    return groups


def _archive_groups(section: DataSection, source: Source, name: str, url: str) -> list[Group]:
    members = list(list_members(url, source.members))
    if not members:
        raise NotFound(
            f"{name}: no member matches {source.members!r}; list the archive and correct data.sources.members"
        )
    entries = [Entry(url, member, f"{name}::{member}") for member in members if not _is_labels(section, member)]
    formats = {_format(section, entry.member) for entry in entries}
    if not formats & set(LOOSE):
        return [Group(_format(section, entry.member), source.split, (entry,)) for entry in entries]
    if len(formats) > 1:
        raise ConfigError(
            f"{name}: its members are of several formats ({', '.join(sorted(formats))}); narrow data.sources.members"
        )
    return [Group(formats.pop(), source.split, tuple(entries), Entry(url, "", name), source.members)]


def _format(section: DataSection, name: str) -> str:
    if name.startswith("sklearn:"):
        return "sklearn"
    if section.format != "auto":
        return section.format
    plain = plain_name(name)
    if IDX_IMAGES in plain:
        return "idx"
    if plain.endswith(".txt") and section.kind == "text":
        return "documents" if section.task == "language_model" else "text_folders"
    suffix = posixpath.splitext(plain)[1]
    if suffix not in FORMATS and section.kind not in OF_KIND:
        raise ConfigError(
            f"data.format: cannot tell from the name {name!r}; set data.format to csv, tsv, jsonl, parquet, text_folders or documents"
        )
    return FORMATS.get(suffix) or OF_KIND[section.kind]


def _is_labels(section: DataSection, name: str) -> bool:
    return section.format in ("auto", "idx") and IDX_LABELS in name


def _refuse_repeats(groups: list[Group]) -> None:
    seen = Counter((entry.url, entry.member) for group in groups for entry in group.entries)
    repeated = [url + ("::" + member if member else "") for (url, member), count in seen.items() if count > 1]
    if repeated:
        raise ConfigError(f"data.sources: {repeated[0]} is matched by more than one source; its rows would count twice")
