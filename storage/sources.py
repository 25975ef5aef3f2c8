"""Project modules as source files: where each lies, and its summary. Nothing is imported to find out.

A summary is remembered by the file's content, for this process and in the data root; a file is read again when its times, size or
inode differ, or when it was written so short a time ago that another write could have left all of these as they are.
"""

import ast
import hashlib
import importlib.util
import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

from storage.errors import ConfigError
from storage.loading import loaded_ns
from storage.memos import keep, recall
from storage.root import data_root
from storage.summaries import Part, Summary, summarise

REACHES = ()  # modules are looked for here, and their code is none of what this one does
SETTLED_NS = 2_000_000_000  # longer than the clock of any file system takes for one tick
DEEPEST = 20_000  # calls of Python's: these take no room on the machine's own stack
KEPT = 4000  # summaries in a memo, at most
_ANALYSIS = ("syntax", "bindings", "moments", "obstacles", "references", "summaries")
_COMPILED = (".so", ".pyd", ".pyc")


class Place(NamedTuple):
    """The file of a module, and whether it is a package's `__init__.py`."""

    path: str
    is_package: bool


class _Reading(NamedTuple):
    """What was read of a file. `mark`: its times, size and inode then, or None where they prove nothing."""

    mark: tuple[int, ...] | None
    content: str
    summary: Summary


_readings: dict[str, _Reading] = {}
_recalled: dict[Path, dict[str, list]] = {}
_new: dict[str, list] = {}


class Places:
    """Where modules lie, by the folders' lists of names as they were first asked for."""

    def __init__(self) -> None:
        self._listings: dict[str, frozenset[str]] = {}
        self._found: dict[str, Place | None] = {}

    def find(self, module: str) -> Place | None:
        """The source of a dotted module name; None if there is none."""
        if module not in self._found:
            self._found[module] = self._find(module)
        return self._found[module]

    def is_compiled(self, module: str) -> bool:
        """Whether the module is there, but not as Python source."""
        above, _, name = module.rpartition(".")
        return any(
            file.split(".")[0] == name and file.endswith(_COMPILED)
            for folder in self.folders(above)
            for file in self._listing(folder)
        )

    def is_folder(self, module: str) -> bool:
        """Whether a folder bears the name, and no module does."""
        return self.find(module) is None and any(self._listing(folder) for folder in self.folders(module))

    def submodules(self, package: str) -> list[str]:
        """The modules right below a package."""
        names = {file.removesuffix(".py") for folder in self.folders(package) for file in self._listing(folder)}
        found = (f"{package}.{name}" for name in sorted(names - {"__init__", "__main__"}) if name.isidentifier())
        return [module for module in found if self.find(module)]

    def hold(self) -> bool:
        """Whether all the folders that were looked into list the same names now."""
        return all(_names(folder) == names for folder, names in self._listings.items())

    def _find(self, module: str) -> Place | None:
        above, _, name = module.rpartition(".")
        package = self.find(above) if above else None
        if package and not package.is_package:
            return None
        for folder in self.folders(above):
            names = self._listing(folder)
            if name in names and "__init__.py" in self._listing(f"{folder}/{name}"):
                return Place(f"{folder}/{name}/__init__.py", True)
            if f"{name}.py" in names:
                return Place(f"{folder}/{name}.py", False)
        return None

    def folders(self, package: str) -> Iterable[str]:
        """The folders that modules below `package` lie in; of no package, those of `sys.path`."""
        if not package:
            return [folder or os.getcwd() for folder in sys.path]
        top, *rest = package.split(".")
        return ["/".join((folder, *rest)) for folder in package_folders(top, tuple(sys.path))]

    def _listing(self, folder: str) -> frozenset[str]:
        above, _, name = folder.rpartition("/")
        if name not in self._listings.get(above, (name,)):
            return frozenset()  # its folder's list says that it is not there
        if folder not in self._listings:
            self._listings[folder] = _names(folder)
        return self._listings[folder]


@cache
def package_folders(top: str, _path: tuple[str, ...]) -> tuple[str, ...]:
    """Where a top-level package lies, under this `sys.path`. Finding one runs no code of it."""
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return ()
    return tuple((spec.submodule_search_locations if spec else None) or ())


def include_current_folder() -> None:
    """Have modules in the current folder be found, after all others: a program started by `-m` or a script's name does not look there."""
    folder = os.getcwd()
    if not {folder, ""} & set(sys.path):
        sys.path.append(folder)


def read_summary(module: str, place: Place, is_ours: bool) -> Summary:
    """The module's summary. One of ours that this process has loaded keeps its first reading: that is the code that runs here; where the
    file was written after it was loaded and before it was read, nobody can say what runs here: an obstacle.

    ConfigError where the file is no Python, or cannot be read.
    """
    known = _readings.get(place.path)
    is_held = is_ours and getattr(sys.modules.get(module), "__file__", None) == place.path
    if known and is_held:
        return known.summary
    try:
        mark = _mark(os.stat(place.path))
        if known and mark == known.mark:
            return known.summary
        content = Path(place.path).read_bytes()
    except OSError as error:
        raise ConfigError(f"module {module}: {place.path} cannot be read ({error.strerror}); correct it") from error
    digest = hashlib.sha256(content).hexdigest()
    summary = known.summary if known and known.content == digest else _summary(module, place, content, digest)
    if is_held and max(mark[:2]) > loaded_ns(module):
        summary = _unsure(module, summary)
    is_settled = time.time_ns() - max(mark[:2]) > SETTLED_NS
    _readings[place.path] = _Reading(mark if is_settled else None, digest, summary)
    return summary


def _unsure(module: str, summary: Summary) -> Summary:
    """The summary of a module of which this process may have loaded another content."""
    said = f"{module}: its file was changed after this process had loaded it; start Python again"
    return summary._replace(parts={name: part._replace(obstacles=[said]) for name, part in summary.parts.items()})


def is_edited(modules: Iterable[str]) -> bool:
    """Whether a file of theirs holds something else now than what counts for this process."""
    places = Places()
    for place in filter(None, map(places.find, modules)):
        known = _readings.get(place.path)
        try:
            if known and hashlib.sha256(Path(place.path).read_bytes()).hexdigest() != known.content:
                return True
        except OSError:
            return True
    return False


def remember() -> None:
    """Keep in the data root what was worked out since the last time."""
    if _new:
        known = {**_remembered(), **_new}
        keep("code", {"analysis": _analysis(), "summaries": dict(list(known.items())[-KEPT:])})
        _remembered().update(_new)
        _new.clear()


def _summary(module: str, place: Place, content: bytes, digest: str) -> Summary:
    package = module if place.is_package else module.rpartition(".")[0]
    key = f"{module} {place.is_package:d}"
    known = _new.get(key) or _remembered().get(key)
    if known and known[0] == digest:
        return _thawed(known[1])
    try:
        with _deep():
            summary = summarise(module, package, ast.parse(content, filename=place.path))
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None) or 0
        raise ConfigError(
            f"module {module}: line {line} of {place.path} is no Python ({getattr(error, 'msg', error)}); correct it"
        ) from error
    except (RecursionError, MemoryError):
        raise ConfigError(
            f"module {module}: an expression in {place.path} is nested too deeply to be analysed; take it apart"
        ) from None
    _new[key] = [digest, summary]
    return summary


@contextmanager
def _deep() -> Iterator[None]:
    """Room for expressions of some hundred terms: each is a level of the tree."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, DEEPEST))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def _thawed(values: list) -> Summary:
    """A summary from its JSON."""
    parts, imports, *rest = values
    return Summary(
        {name: Part(*part) for name, part in parts.items()},
        {name: [(module, attribute) for module, attribute in targets] for name, targets in imports.items()},
        *rest,
    )


def _remembered() -> dict[str, list]:
    root = data_root()
    if root not in _recalled:
        kept = recall("code")
        _recalled[root] = kept.get("summaries", {}) if kept.get("analysis") == _analysis() else {}
    return _recalled[root]


@cache
def _analysis() -> str:
    """What worked the summaries out: another version of it, or of Python, may come to others."""
    own = b"".join(Path(__file__).with_name(f"{name}.py").read_bytes() for name in _ANALYSIS)
    return hashlib.sha256(own + sys.version.encode()).hexdigest()


def _mark(status: os.stat_result) -> tuple[int, ...]:
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino


def _names(folder: str) -> frozenset[str]:
    try:
        return frozenset(os.listdir(folder))
    except OSError:
        return frozenset()
