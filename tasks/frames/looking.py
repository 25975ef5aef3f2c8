"""What lies at a URL: which files, in which format, and which split or label their folders and names declare."""

import os
import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice

from storage.errors import ConfigError, NotFound, SchemaError
from tasks.frames.faults import reading
from tasks.frames.filesystems import filesystem, hidden
from tasks.frames.sources import FORMATS, IDX_IMAGES, IDX_LABELS, locate
from tasks.frames.streams import Entry, is_archive, list_members, open_entry, plain_name
from tasks.sections import DataSection, Source
from tasks.transforms.items import did_you_mean

MANY_FILES = 20_000  # no more members of a large tar are looked at, for it is read from its start
LARGE = 1 << 30  # bytes
MEASURED = 16 << 20  # bytes read of an archive's member to know how large it is
LABELLED = {
    **dict.fromkeys((".txt", ".text"), "text_folders"),
    **dict.fromkeys((".png", ".jpg", ".jpeg"), "image_folders"),
    ".wav": "audio_folders",
}
SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("test", "testing", "t10k"), "test"),
    **dict.fromkeys(("valid", "validation", "val", "dev"), "validation"),
}
TABLES = {**FORMATS, ".data": "csv", ".dat": "csv"}
OTHERWISE = {
    ".xlsx": "save the sheet as CSV",
    ".xls": "save the sheet as CSV",
    ".npy": "write a table as Parquet or CSV",
    ".yaml": "run a configuration with --config FILE",
    ".yml": "run a configuration with --config FILE",
}
BY_NAME = r"^([^_.-]+)[_.-]"  # `7_jackson_32.wav`, `cat.17.jpg`


@dataclass(frozen=True)
class Found:
    """Files of one format. `sources` are relative to `root`; `entries` those that were seen, with the split of each.

    `shares`: of each declared split, by files or bytes. `labels`: how many files each label has, where files lie in label folders;
    `label_pattern`: where their names hold it.
    """

    format: str
    root: str
    sources: tuple[Source, ...]
    entries: tuple[tuple[Entry, str], ...]
    labels: Counter[str] = field(default_factory=Counter)
    label_pattern: str = ""
    bytes: int = 0
    shares: dict[str, float] = field(default_factory=dict)
    all_seen: bool = True

    @property
    def learned_share(self) -> float:
        """Of the rows: those that no name declares to be for validation or the test."""
        return 1.0 - sum(self.shares.get(split, 0.0) for split in ("validation", "test"))


def look(url: str, format: str = "", label_pattern: str = "") -> Found:
    """What `url` (a file, folder, glob or archive; any fsspec URL) holds. `label_pattern`: the user's own for labels in files' names.

    NotFound where there is nothing, ConfigError or SchemaError where it is nothing to learn from.
    """
    root, given = _rooted(url)
    folder = _is_folder(url)
    if folder:
        root, given = f"{root.rstrip('/')}/{given}", ""
    section = DataSection(sources=(Source(url=given),), root=root, kind="table")
    files = [(name, one) for name, one in _files(section, url) if IDX_LABELS not in name]
    if len(files) == 1 and is_archive(files[0][1]):
        names, all_seen = _members(files[0][1])
        entries = [Entry(files[0][1], name, name) for name in names]
        format = format or _format(entries, url)
        return _found(format, root, entries, label_pattern, archive=given, all_seen=all_seen)
    entries = [Entry(one, "", name) for name, one in files]
    format = format or _format(entries, url)
    return _found(format, root, entries, label_pattern, given=given)


def _members(url: str) -> tuple[list[str], bool]:
    """Names of the archive's members, and whether they are all."""
    names, most = list_members(url, ""), MANY_FILES if _sizes([Entry(url, "", url)])[url] > LARGE else None
    seen = list(islice(names, most))
    return seen, next(names, None) is None


def _files(section: DataSection, url: str) -> list[tuple[str, str]]:
    try:
        return [(file.name, file.url) for file in locate(section, section.sources[0])]
    except NotFound as error:
        if "://" in url or not str(error).startswith("data.sources"):
            raise
        folder, name = posixpath.split(posixpath.join(section.root, section.sources[0].url).rstrip("/"))
        if not name or os.path.isdir(posixpath.join(folder, name)):
            raise NotFound(f"{url}: found no files in this folder, wanted some; check the path") from None
        near = did_you_mean(name, os.listdir(folder)) if os.path.isdir(folder) else f"; there is no folder {folder}"
        raise NotFound(f"{url}: no such file or folder{near or '; check the path'}") from None


def _rooted(url: str) -> tuple[str, str]:
    """The folder, absolute, and the rest; an HTTP or chained URL stays in one piece."""
    if "::" in url or url.startswith(("http://", "https://")):
        return "", url
    if "://" not in url:
        url = posixpath.abspath(posixpath.expanduser(url))
    cut = url.rstrip("/")
    magic = min((cut.index(char) for char in "*?[" if char in cut), default=len(cut))
    root, _, _ = cut[:magic].rpartition("/")
    return root or "/", cut[len(root) :].lstrip("/")


def _is_folder(url: str) -> bool:
    with reading(url):
        fs, path = filesystem(url)
        return not any(char in path for char in "*[") and fs.isdir(path)


def _suffix(name: str) -> str:
    return posixpath.splitext(plain_name(name))[1]


def _format_of(name: str) -> str:
    if IDX_IMAGES in plain_name(name):
        return "idx"
    return TABLES.get(_suffix(name)) or LABELLED.get(_suffix(name), "")


def _format(entries: Sequence[Entry], url: str) -> str:
    """The format that most files have. A single file with a name that says nothing is read for it."""
    counts = Counter(kind for entry in entries if (kind := _format_of(entry.name)))
    if counts:
        kind = counts.most_common(1)[0][0]
        return "csv" if kind == "text_folders" and len(entries) == 1 else kind
    if not entries:
        raise ConfigError(f"{hidden(url)}: found no data in it; IDX labels lie beside their images: name {IDX_IMAGES}")
    name = entries[0].name
    if advice := OTHERWISE.get(_suffix(name)):
        raise ConfigError(f"{hidden(url)}: a {_suffix(name)} file is not read here; {advice}")
    if len(entries) == 1:
        return _by_content(entries[0])
    raise ConfigError(
        f"{hidden(url)}: found {len(entries)} files, none in a format that is read here; wanted CSV, TSV, JSON, JSON lines, Parquet, Arrow, "
        "IDX, or folders of texts, images or WAV files: one folder a label"
    )


def _by_content(entry: Entry) -> str:
    with open_entry(entry) as stream:
        head = stream.read(4096)
    if head[:4] == b"PAR1":
        return "parquet"
    if b"\0" in head:
        raise SchemaError(f"{entry.name}: is no text, no Parquet and no archive by its name; wanted one of them")
    return "jsonl" if head.lstrip()[:1] == b"{" else "csv"


def _found(
    format: str,
    root: str,
    entries: Sequence[Entry],
    label_pattern: str,
    given: str = "",
    archive: str = "",
    all_seen: bool = True,
) -> Found:
    """What was found, named by `given` where the user's own URL names just that."""
    kept = [entry for entry in entries if len(entries) == 1 or _format_of(entry.name) == format]
    kept = _of_one_depth(kept) if format in LABELLED.values() else kept
    names = [entry.name for entry in kept]
    splits = _splits(names)
    labels, pattern = _labels(format, names, label_pattern)
    whole = bool(given) and len(kept) == len(entries) and set(splits.values()) == {"any"}
    patterns = [("any", given)] if whole else _patterns(splits.items())
    sources = tuple(_source(archive, split, one) for split, one in patterns)
    seen = tuple((entry, splits[entry.name]) for entry in kept)
    sizes = {} if labels else _sizes(kept)
    counts = Counter(splits.values())
    shares = {split: n / len(kept) for split, n in counts.items()} if labels else _shares(seen, sizes)
    return Found(format, root, sources, seen, labels, pattern, sum(sizes.values()), shares, all_seen)


def _of_one_depth(entries: Sequence[Entry]) -> Sequence[Entry]:
    """Those as deep as most, where the others are few: a README beside the label folders is no file of a label."""
    depths = Counter(entry.name.count("/") for entry in entries)
    depth, most = depths.most_common(1)[0]
    return [e for e in entries if e.name.count("/") == depth] if most >= 0.9 * len(entries) else entries


def _source(archive: str, split: str, pattern: str) -> Source:
    places = {"url": archive, "members": pattern} if archive else {"url": pattern}
    return Source.model_validate({**places, "split": split})


def _sizes(entries: Sequence[Entry]) -> dict[str, int]:
    """Bytes of the files as they lie there, by URL (an archive: its own)."""
    with reading("data"):
        places = {entry.url: filesystem(entry.url) for entry in entries}
        return {url: int(fs.info(path).get("size") or 0) for url, (fs, path) in places.items()}


def _shares(seen: Sequence[tuple[Entry, str]], sizes: dict[str, int]) -> dict[str, float]:
    """By bytes; of an archive by the beginnings of its members, or by their number where they are many."""
    weights, few = Counter[str](), len(seen) <= 20 and len({split for _, split in seen}) > 1
    for entry, split in seen:
        weights[split] += 1 if entry.member and not few else _measured(entry) if entry.member else sizes[entry.url]
    return {split: weight / max(1, weights.total()) for split, weight in weights.items()}


def _measured(entry: Entry) -> int:
    with open_entry(entry) as stream:
        return len(stream.read(MEASURED))


def _splits(names: Sequence[str]) -> dict[str, str]:
    """The split that a folder or the file's name declares; `any` for all unless some are for training and some for the test."""
    declared = {name: _split(name) for name in names}
    found = set(declared.values())
    return declared if {"train", "test"} <= found and "any" not in found else dict.fromkeys(names, "any")


def _split(name: str) -> str:
    folders, file = posixpath.split(plain_name(name))
    for part in (*folders.split("/"), *re.split(r"[^a-z0-9]+", file)):
        if part in SPLITS:
            return SPLITS[part]
    return "any"


def _labels(format: str, names: Sequence[str], wanted: str) -> tuple[Counter[str], str]:
    """The labels of files in label folders, and the pattern (`wanted`, where there is one) that finds them where the files' names hold
    them."""
    if format not in LABELLED.values():
        return Counter(), ""
    labels = Counter(posixpath.basename(posixpath.dirname(name)) for name in names)
    if len(labels) > 1 and not wanted:
        return labels, ""
    matches = [re.search(wanted or BY_NAME, posixpath.basename(name)) for name in names]
    named = Counter(match.group(1) for match in matches if match)
    if wanted and named:
        return named, wanted
    if format != "text_folders" and named.total() == len(names) and 2 <= len(named) <= len(names) / 5:
        return named, BY_NAME
    raise SchemaError(
        f"{format}: found {len(names)} files in one folder, wanted a folder for each label, as in spam/1.txt and ham/2.txt; "
        "where the files' names hold it: --set data.label_pattern='^([a-z]+)'"
    )


def _patterns(names: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """(split, glob) that match these names and as little else as can be."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for name, split in names:
        folders = posixpath.dirname(name).split("/")
        upto = next((i + 1 for i, part in enumerate(folders) if part.lower() in SPLITS), 0) if split != "any" else 0
        suffix = "idx" if IDX_IMAGES in name else name[len(posixpath.splitext(plain_name(name))[0]) :]
        groups.setdefault((split, "/".join(folders[:upto]), suffix), []).append(name)
    found = []
    for (split, prefix, suffix), members in groups.items():
        if len(members) == 1 or (split != "any" and not prefix and len(members) <= 50):
            found += [(split, name) for name in members]
        else:
            found.append((split, _glob(prefix, suffix, members)))
    return found


def _glob(prefix: str, suffix: str, names: Sequence[str]) -> str:
    rest = [name[len(prefix) :].lstrip("/").count("/") for name in names]
    folders = ["*"] * rest[0] if len(set(rest)) == 1 else ["**"]
    last = f"*{IDX_IMAGES}*" if suffix == "idx" else f"*{suffix}"
    return "/".join([*([prefix] if prefix else []), *folders, last])
