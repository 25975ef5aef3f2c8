"""The own code at one moment, as modules: ours, a user's, and whatever lies beside them; all else is a library or Python's own."""

import os
import sys
import sysconfig

from storage.bindings import top
from storage.installed import distributions
from storage.sources import Place, Places, read_summary
from storage.summaries import Summary

_PYTHONS = sysconfig.get_path("stdlib")
_INSTALLED = {"site-packages", "dist-packages"}


class Modules:
    """Own modules by name. `packages`: ours; `users`: a user's top-level ones that are asked for. Both are own wherever they lie."""

    def __init__(self, packages: frozenset[str], users: frozenset[str]) -> None:
        self._packages, self._users = packages, users
        self._path, self._installed = tuple(sys.path), distributions()
        self._places = Places()
        self._summaries: dict[str, tuple[Place, Summary]] = {}
        self._own: dict[str, bool] = {}

    def hold(self) -> bool:
        """Whether nothing has changed that was looked at."""
        return (
            self._path == tuple(sys.path)
            and self._installed is distributions()
            and self._places.hold()
            and all(self._read(name, place) is summary for name, (place, summary) in self._summaries.items())
        )

    def summary(self, module: str) -> Summary | None:
        """The summary of an own module; None where there is no such source."""
        if module not in self._summaries:
            place = self._places.find(module) if self.is_own(module) else None
            if place is None:
                return None
            self._summaries[module] = (place, self._read(module, place))
        return self._summaries[module][1]

    def below(self, module: str) -> list[str]:
        """The modules of a package; none where it is no package."""
        found = self._summaries.get(module)
        return [] if found and not found[0].is_package else self._places.submodules(module)

    def is_folder(self, module: str) -> bool:
        """Whether a folder of own modules bears this name, and has no `__init__.py`."""
        return self.is_own(module) and self._places.is_folder(module)

    def is_compiled(self, module: str) -> bool:
        """Whether an own module is there without its source."""
        return self.is_own(module) and self._places.is_compiled(module)

    def is_own(self, module: str) -> bool:
        """Whether a module is own code: of `packages`, or found outside the folders of Python and of what is installed."""
        name = top(module)
        if name not in self._own:
            self._own[name] = name in self._packages | self._users or self._is_outside(name)
        return self._own[name]

    def _read(self, module: str, place: Place) -> Summary:
        return read_summary(module, place, is_ours=top(module) in self._packages)

    def _is_outside(self, name: str) -> bool:
        place = self._places.find(name) if name else None
        if (
            not name or name in sys.stdlib_module_names
        ):  # a file of a user's that is found before Python's is what is loaded
            return place is not None and not place.path.startswith(f"{_PYTHONS}/")
        if place:
            folders = {os.path.dirname(os.path.dirname(place.path) if place.is_package else place.path)}
        else:
            folders = {os.path.dirname(folder) for folder in self._places.folders(name)}
        installed = {os.path.dirname(info) for info in self._installed.get(name, ()) if info.endswith(".dist-info")}
        return any(not set(folder.split("/")) & _INSTALLED and folder not in installed for folder in folders)
