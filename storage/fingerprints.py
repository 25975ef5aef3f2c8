"""The fingerprint of the code that a step reaches: it changes when a step could behave otherwise, and only then.

It covers the module and every project module it imports, directly or not, also inside functions, with the `__init__.py` of
the packages on the way. Comments, layout and docstrings do not count. What no import statement shows is declared
(`REACHES`, see `storage.sources`). Libraries count by their public version.
"""

import hashlib
import importlib.metadata
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from storage.errors import ConfigError
from storage.sources import Source, read_source, source_file

PACKAGES = ("flows", "tasks", "storage", "infra")


@dataclass(frozen=True)
class Reach:
    """The code that some functions reach. `definitions`: a digest for each part, by `module:name`; `digest`: of them all.

    `libraries`: public versions by distribution. `obstacles`: what cannot be analysed, in words; where there is any, nothing may be cached.
    """

    digest: str
    definitions: Mapping[str, str]
    libraries: Mapping[str, str]
    obstacles: tuple[str, ...] = ()


def reach(*entries: str, packages: Sequence[str] = PACKAGES) -> Reach:
    """What the functions `module:name` (or whole modules) reach together."""
    modules = [entry.partition(":")[0] for entry in entries]
    sources = {name: source for module in modules for name, source in reached(module, packages).items()}
    listing = "".join(f"{name} {sources[name].digest}\n" for name in sorted(sources))
    found = {name: version for module in modules for name, version in libraries(module, packages).items()}
    return Reach(
        hashlib.sha256(listing.encode()).hexdigest(), {name: source.digest for name, source in sources.items()}, found
    )


def fingerprint(module: str, packages: Sequence[str] = PACKAGES) -> str:
    """The code that `module` reaches within `packages`, as 64 hexadecimal digits; the same on every Python version.

    `ConfigError` if the module, or one that is declared in a `REACHES`, has no source.
    """
    sources = reached(module, packages)
    listing = "".join(f"{name} {sources[name].digest}\n" for name in sorted(sources))
    return hashlib.sha256(listing.encode()).hexdigest()


def libraries(module: str, packages: Sequence[str] = PACKAGES) -> dict[str, str]:
    """The installed distributions that the code `module` reaches imports itself, with their public versions."""
    imports = {name.partition(".")[0] for source in reached(module, packages).values() for name in source.imports}
    third_party = imports - set(packages) - set(sys.stdlib_module_names)
    names = {name for top in third_party for name in _distributions().get(top, ())}
    return {_canonical(name): importlib.metadata.version(name).partition("+")[0] for name in sorted(names)}


def reached(module: str, packages: Sequence[str] = PACKAGES) -> dict[str, Source]:
    """All project modules that `module` reaches, itself included, by dotted name."""
    found: dict[str, Source] = {}
    waiting = [(module, "the fingerprint")]
    while waiting:
        name, wanted_by = waiting.pop()
        if name in found:
            continue
        path = source_file(name)
        if path is None:
            raise ConfigError(f"module {name!r}, named by {wanted_by}, has no source; correct the name")
        found[name] = read_source(name, path)
        waiting += [(other, f"REACHES in {name}") for other in found[name].reaches]
        waiting += [(other, name) for other in _modules(name, found[name], packages)]
    return found


def _modules(name: str, source: Source, packages: Sequence[str]) -> set[str]:
    """The project modules that importing `source` loads: what it names, where that is a module, and the packages above."""
    wanted = {
        name,
        *(imported for imported in (*source.imports, *source.reaches) if imported.split(".")[0] in packages),
    }
    return {part for imported in wanted for part in _way(imported)}


def _way(imported: str) -> list[str]:
    """Of `a.b.c`, those of `a`, `a.b` and `a.b.c` that are modules; below a plain module there are only its names."""
    way: list[str] = []
    steps = imported.split(".")
    for length in range(1, len(steps) + 1):
        path = source_file(".".join(steps[:length]))
        if path is None:
            break
        way.append(".".join(steps[:length]))
        if path.name != "__init__.py":
            break
    return way


@cache
def _distributions() -> dict[str, list[str]]:
    return {top: list(names) for top, names in importlib.metadata.packages_distributions().items()}


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
