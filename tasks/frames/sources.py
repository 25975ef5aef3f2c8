"""Which files a data section means: globs, folders and archives resolved to entries, each with its format and split."""

import posixpath
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from storage.errors import ConfigError, NotFound
from tasks.frames.databases import SCHEME, ranges, version_of
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
    ".json": "json",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
    ".warc": "warc",
    ".pq": "parquet",
}
FOLDERS = ("text_folders", "image_folders", "audio_folders")
LOOSE = (*FOLDERS, "documents")  # formats of which one file is one row, or a few
OF_KIND = {"image": "image_folders", "audio": "audio_folders"}  # what files are whose names say nothing else
MAGIC = "*?["
IDX_IMAGES, IDX_LABELS = "images-idx3-ubyte", "labels-idx1-ubyte"


@dataclass(frozen=True)
class File:
    """A file of a source. `name`: relative to where the source begins; `told`: what a listing said of it; `digest`, `size`: of its content, where
    they were asked for.
    """

    name: str
    url: str
    told: Mapping[str, Any] = field(default_factory=dict, compare=False)
    digest: str = ""
    size: int = 0


Members = Callable[[File, str], Sequence[str]]


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
    return group(section, [locate(section, source) for source in section.sources], members_of)


def members_of(archive: File, pattern: str) -> list[str]:
    """Names of the archive's files that match the glob, in its order; a tar is read to its end for them."""
    return list(list_members(archive.url, pattern))


def group(section: DataSection, located: Sequence[Sequence[File]], members: Members) -> list[Group]:
    """The files of each source in order, by format; `members` lists an archive's. ConfigError where a format cannot be told."""
    owners: dict[str, set[str]] = {}
    for file in (file for files in located for file in files):
        owners.setdefault(file.name, set()).add(file.url)
    groups: list[Group] = []
    for index, (source, files) in enumerate(zip(section.sources, located, strict=True)):
        named = [file if len(owners[file.name]) == 1 else replace(file, name=f"{index}:{file.name}") for file in files]
        groups.extend(_groups(section, source, named, members))
    _refuse_repeats(groups)
    return groups


def locate(section: DataSection, source: Source) -> list[File]:
    """The files of `source`, sorted by name; with IDX images the labels beside them."""
    if section.format == "sklearn" or source.url.startswith("sklearn:"):
        name = "sklearn:" + source.url.removeprefix("sklearn:")
        return [File(name, name)]
    if source.query:
        found = ranges(source)
        told = version_of(found[0].as_url) if found else {}
        return [File(part.name, part.as_url, told) for part in found]
    url = _joined(section.root, source.url)
    with reading(url):
        fs, path = filesystem(url)
        fs.invalidate_cache()  # a listing kept from an earlier run says nothing of today's files
        found, base = _listed(fs, path)
        if not found and "s3" in fs.protocol:
            fs.info(path)  # says whether it is the bucket that is missing
        found |= {label: {} for label in (labels_beside(fs, p) for p in list(found)) if label and label not in found}
    base = _base(section.root, source.url) or base
    visible = [p for p in found if not posixpath.basename(p).startswith(".")]
    if not visible:
        raise NotFound(
            f"data.sources: no file matches {hidden(source.url)!r} (looked for {hidden(url)}); check the pattern and data.root"
        )
    files = (File(posixpath.relpath(p, base), fs.unstrip_protocol(p), found[p]) for p in visible)
    return sorted(files, key=lambda file: (file.name, file.url))


def _listed(fs: Any, path: str) -> tuple[dict[str, Mapping[str, Any]], str]:
    """What the listing says of each file that `path` (a file, folder or glob) means, and the folder that it begins in."""
    magic = [path.index(char) for char in _magic(path) if char in path]
    if magic:
        found, base = fs.glob(path, detail=True), posixpath.dirname(path[: min(magic)])
        return {str(p): told for p, told in found.items() if told.get("type") == "file" or not fs.isdir(p)}, base
    if fs.isdir(path):
        return {str(p): told for p, told in fs.find(path, detail=True).items()}, path
    return ({path: {}} if fs.exists(path) else {}), posixpath.dirname(path)


def _magic(path: str) -> str:
    """The characters that make a glob of `path`; a question mark in an HTTP URL begins its query."""
    return MAGIC.replace("?", "") if path.startswith(("http://", "https://")) else MAGIC


def labels_beside(fs: Any, path: str) -> str:
    """The labels file beside the IDX images file `path`, compressed or not; empty where `path` is none or there is no such file."""
    return next((found for found in labels_names(path) if fs.exists(found)), "")


def labels_names(images: str) -> tuple[str, ...]:
    """What the labels file of that IDX images file may be called; nothing where it is none."""
    bare = images.replace(IDX_IMAGES, IDX_LABELS).removesuffix(".gz")
    return (bare + ".gz", bare) if IDX_IMAGES in images else ()


def _base(root: str, url: str) -> str:
    """The folder that names are relative to, where `url` lies below `root`; else empty, and the source's own folder is used."""
    if "://" in url or posixpath.isabs(url) or posixpath.normpath(url).startswith(".."):
        return ""
    return str(filesystem(root or ".")[1])


def _joined(root: str, url: str) -> str:
    absolute = "://" in url or "::" in url or posixpath.isabs(url)
    return url if absolute or not root else f"{root.rstrip('/')}/{url}"


def _groups(section: DataSection, source: Source, files: list[File], members: Members) -> list[Group]:
    groups: list[Group] = []
    digests = {file.name: file.digest for file in files if _is_labels(section, file.name)}
    loose: dict[str, list[Entry]] = {}
    for file in files:
        if is_archive(file.url):
            groups.extend(_archive_groups(section, source, file, members))
        elif _is_labels(section, file.name):
            continue
        elif (format := "arrow" if file.url.startswith(SCHEME) else _format(section, file.name)) in LOOSE:
            loose.setdefault(format, []).append(_entry(file, digests))
        else:
            groups.append(Group(format, source.split, (_entry(file, digests),)))
    groups.extend(Group(format, source.split, tuple(entries)) for format, entries in loose.items())
    return groups


def _archive_groups(section: DataSection, source: Source, file: File, members: Members) -> list[Group]:
    found = members(file, source.members)
    if not found:
        raise NotFound(
            f"{file.name}: no member matches {source.members!r}; list the archive and correct data.sources.members"
        )
    archive = Entry(file.url, "", file.name, file.digest, file.size)
    entries = [
        replace(archive, member=member, name=f"{file.name}::{member}")
        for member in found
        if not _is_labels(section, member)
    ]
    formats = {_format(section, entry.member) for entry in entries}
    if not formats & set(LOOSE):
        return [Group(_format(section, entry.member), source.split, (entry,)) for entry in entries]
    if len(formats) > 1:
        raise ConfigError(
            f"{file.name}: its members are of several formats ({', '.join(sorted(formats))}); narrow data.sources.members"
        )
    return [Group(formats.pop(), source.split, tuple(entries), archive, source.members)]


def _entry(file: File, digests: Mapping[str, str]) -> Entry:
    """The entry of a file. The digest of IDX images takes in that of their labels, which are read with them."""
    labels = labels_names(file.name)
    beside = next((f"+{digests[name]}" for name in labels if name in digests), "")
    return Entry(file.url, "", file.name, file.digest + beside, file.size)


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
            f"data.format: cannot tell from the name {name!r}; set data.format to csv, tsv, json, jsonl, parquet, arrow, lines, text_folders or documents"
        )
    return FORMATS.get(suffix) or OF_KIND[section.kind]


def _is_labels(section: DataSection, name: str) -> bool:
    return section.format in ("auto", "idx") and IDX_LABELS in name


def _refuse_repeats(groups: list[Group]) -> None:
    seen = Counter((entry.url, entry.member) for group in groups for entry in group.entries)
    repeated = [url + ("::" + member if member else "") for (url, member), count in seen.items() if count > 1]
    if repeated:
        raise ConfigError(f"data.sources: {repeated[0]} is matched by more than one source; its rows would count twice")
