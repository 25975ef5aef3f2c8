"""The fingerprint of the code that a step reaches: it changes when a step could behave otherwise, and only then.

It is taken by definition: from a function on through all that it names, calls, inherits, decorates itself with or has as a default, also
inside functions, through re-exports and texts that name a module; with what the loading of those modules runs (`storage.summaries`).
Comments, layout, docstrings and what is not reached do not count. A user's own modules count like ours, libraries by their public version.
"""

import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from storage.bindings import top
from storage.installed import versions
from storage.reaching import Code
from storage.sources import include_current_folder, is_edited, remember
from storage.summaries import digest_of

PACKAGES = ("flows", "tasks", "storage", "infra")
AFRESH = "import sys; from storage.fingerprints import reach; print(reach(*sys.argv[1:]).digest)"


@dataclass(frozen=True)
class Reach:
    """The code that some functions reach. `definitions`: a digest for each part, by `module:name`; `digest`: of them all.

    `libraries`: public versions by distribution. `obstacles`: what cannot be analysed, in words; where there is any, nothing may be cached.
    `modules`: all own modules that are loaded, also those of which nothing else counts.
    """

    digest: str
    definitions: Mapping[str, str]
    libraries: Mapping[str, str]
    obstacles: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()


_one_at_a_time = threading.Lock()  # steps run side by side; what one has begun to work out is no answer for another
_codes: dict[tuple[frozenset[str], frozenset[str]], Code] = {}


def reach(*entries: str, packages: Sequence[str] = PACKAGES) -> Reach:
    """What the functions `module:name` (or whole modules) reach together. ConfigError if one of them has no source, or is no Python.

    Modules of `packages`, of the entries' own packages, and all that are found outside the folders of installed libraries are followed;
    entries of a user's are looked for in the current folder, too.
    """
    users = {top(entry.partition(":")[0]) for entry in entries} - set(packages)
    with _one_at_a_time:
        if users:
            include_current_folder()
        code = _code(frozenset(packages), frozenset(users))
        if entries not in code.reached:
            code.reached[entries] = _reached(code, entries)
        found, libraries = code.reached[entries]
        return replace(found, libraries=versions(libraries))  # of this very moment


def _reached(code: Code, entries: Sequence[str]) -> tuple[Reach, set[str]]:
    """What these reach, but for the versions of the libraries; and their top-level modules."""
    found = code.walk(entries)
    remember()
    definitions = dict(sorted(found.definitions.items()))
    obstacles, modules = tuple(sorted(found.obstacles)), tuple(sorted(found.modules))
    digest = digest_of("\n".join(f"{name} {digest}" for name, digest in definitions.items()))  # no name holds a space
    return Reach(digest, definitions, {}, obstacles, modules), found.libraries


def still_reached(found: Reach, *entries: str) -> bool:
    """Whether a process that started now would reach the same: a step's programs read the files anew, this process does not.

    Comments and what is not reached may have been edited meanwhile.
    """
    if not is_edited(found.modules):
        return True
    asked = [sys.executable, "-c", AFRESH, *entries]
    told = subprocess.run(asked, capture_output=True, text=True, check=False)
    return told.returncode == 0 and told.stdout.strip() == found.digest


def _code(packages: frozenset[str], users: frozenset[str]) -> Code:
    """The code as it is now: what was worked out before, unless a file or folder has changed."""
    known = _codes.get((packages, users))
    if known is None or not known.holds():
        known = _codes[(packages, users)] = Code(packages, users)
    return known
