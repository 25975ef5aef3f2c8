"""A user's own function, by its name `module:name`: found in the current folder or on PYTHONPATH, and imported here only.

A process that lives long takes what has changed on disk since: its key does, too, as nothing of a user's is held to a first reading.
"""

import functools
import hashlib
import importlib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from storage.errors import ConfigError
from storage.fingerprints import PACKAGES, reach
from storage.sources import include_current_folder

REACHES = ()  # what is imported here counts by its name in the configuration, see `Section.own_code`
_loaded: dict[
    str, dict[str, str]
] = {}  # of each name: digests of the files that its modules were loaded from, as they were then


def load_function(name: str, field: str) -> Callable[[Any], Any]:
    """The function `module:name`, which the configuration names in `field`, as it is on disk. ConfigError where there is no such module or function, or loading it fails."""
    module, _, attribute = name.partition(":")
    include_current_folder()
    if name not in _loaded or _loaded[name] != _contents(_loaded[name]):
        for other in _outdated(name, module):
            del sys.modules[other]
        _loaded[name] = {}
    try:
        with _without_bytecode():
            found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        where = (
            f"{os.getcwd()} and PYTHONPATH"
            if f"{module}.".startswith(f"{error.name}.")
            else f"{module}, which needs it"
        )
        raise ConfigError(
            f"{field}: found no module {error.name!r} (looked in {where}); {_next_step(field)}"
        ) from error
    except Exception as error:
        raise ConfigError(f"{field}: module {module} cannot be loaded ({told(error)}); correct it") from error
    function = getattr(found, attribute, None)
    if not callable(function):
        raise ConfigError(
            f"{field}: module {module} ({found.__file__}) has no function {attribute!r}; {_next_step(field)}"
        )
    _note(name)

    @functools.wraps(function)
    def noted(rows: Any) -> Any:
        try:
            return function(rows)
        finally:
            _note(name)  # what it has imported on its way

    return noted


def told(error: BaseException) -> str:
    """An error in one line."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _next_step(field: str) -> str:
    return f"correct {field}, start in the module's folder, or name that in PYTHONPATH"


def _own_modules() -> Iterator[tuple[str, str]]:
    """Modules that are loaded and neither ours, Python's nor installed, each with its file."""
    others = {*PACKAGES, *sys.stdlib_module_names, "__main__"}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None) or ""
        is_installed = {"site-packages", "dist-packages"} & set(Path(file).parts)
        if file.endswith(".py") and not is_installed and name.partition(".")[0] not in others:
            yield name, file


def _outdated(name: str, module: str) -> list[str]:
    """Modules that may hold another content than their files: of what somebody else has loaded nobody can say."""
    if name in _loaded:
        return [other for other, file in _own_modules() if file in _loaded[name]]
    reached = reach(name).modules if module in sys.modules else ()
    return [other for other, _ in _own_modules() if other in reached]


def _note(name: str) -> None:
    """Remember the files of modules that were loaded since the last time; what is loaded stays as it was then."""
    known = _loaded[name]
    known |= _contents(file for _, file in _own_modules() if file not in known)


def _contents(files: Any) -> dict[str, str]:
    return {file: hashlib.sha256(Path(file).read_bytes()).hexdigest() if Path(file).exists() else "" for file in files}


@contextmanager
def _without_bytecode() -> Iterator[None]:
    """Python takes compiled code for that of a file of the same second and size: none is left behind to be taken so."""
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before
