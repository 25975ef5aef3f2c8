"""Installed distributions: which of them a top-level module belongs to, and their public versions.

To read what all of them install takes a quarter of a second: it is remembered in the data root, by the names of their folders of metadata.
"""

import os
import re
import sys
from functools import lru_cache

from storage.memos import keep, recall

_VERSION = re.compile(r"^Version:\s*(\S+)", re.MULTILINE | re.IGNORECASE)
_NAME = re.compile(r"^Name:\s*(\S+)", re.MULTILINE | re.IGNORECASE)
_INFO = (".dist-info", ".egg-info")
_MODULE = re.compile(r"([A-Za-z_]\w*)(/.*\.(py|so|pyd)|\.py|(\.[\w-]+)?\.(so|pyd))")


def versions(modules: set[str]) -> dict[str, str]:
    """The public version of each distribution that one of these top-level modules belongs to, by its canonical name."""
    known = distributions()
    found = {info: _public(info) for module in sorted(modules) for info in known.get(module, ())}
    return {name: version for name, version in sorted(found.values()) if name}


def distributions() -> dict[str, list[str]]:
    """The folders with the metadata of the distributions that each top-level module belongs to."""
    return _distributions(tuple((folder, _infos(folder)) for folder in dict.fromkeys(sys.path)))


@lru_cache(maxsize=4)
def _distributions(state: tuple[tuple[str, tuple[str, ...]], ...]) -> dict[str, list[str]]:
    mark = [[folder, list(infos)] for folder, infos in state if infos]
    kept = recall("libraries")
    if kept.get("mark") == mark:
        return kept["distributions"]
    found: dict[str, list[str]] = {}
    seen: set[str] = set()
    for folder, infos in state:
        for info in (os.path.join(folder, name) for name in infos):
            name, _ = _public(info)
            if name and name not in seen:  # the first on the path is the one that is imported
                seen.add(name)
                for module in sorted(_modules(info)):
                    found.setdefault(module, []).append(info)
    keep("libraries", {"mark": mark, "distributions": found})
    return found


def _public(info: str) -> tuple[str, str]:
    """A distribution's canonical name and public version, as its metadata say now; empty where it has none."""
    text = _read(info, "METADATA") or _read(info, "PKG-INFO") or _read(info, "")
    name, version = _NAME.search(text), _VERSION.search(text)
    if not name or not version:
        return "", ""
    return re.sub(r"[-_.]+", "-", name[1]).lower(), version[1].partition("+")[0]


def _modules(info: str) -> set[str]:
    """The top-level modules that a distribution installs."""
    named = _read(info, "top_level.txt").split()
    listed = _read(info, "RECORD").splitlines()
    return {*named, *(match[1] for line in listed if (match := _MODULE.match(line)))}


def _read(info: str, file: str) -> str:
    try:
        with open(os.path.join(info, file) if file else info, encoding="utf-8", errors="replace") as opened:
            return opened.read()
    except OSError:
        return ""


def _infos(folder: str) -> tuple[str, ...]:
    """The names of the metadata folders in a folder."""
    try:
        return tuple(sorted(name for name in os.listdir(folder or ".") if name.endswith(_INFO)))
    except OSError:
        return ()
