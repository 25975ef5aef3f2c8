"""What a name means: followed through imports, re-exports, packages and star imports to the definitions of own modules, or to a library."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from storage.bindings import Target, top
from storage.modules import Modules
from storage.summaries import IMPORT, MAIN, Summary

ALL = "*"  # a whole module; as the part of a node
WITHOUT_SOURCE = "{} is there without its Python source, and cannot be read; install it as a library"
Node = tuple[str, str]  # a module and a part of it: a name, IMPORT, MAIN, or ALL


@dataclass
class Edges:
    """Where a node leads. `followed`: chains of names that have been looked up, by the module they begin in."""

    nodes: dict[Node, None] = field(default_factory=dict)
    libraries: set[str] = field(default_factory=set)
    obstacles: set[str] = field(default_factory=set)
    followed: set[tuple[str, ...]] = field(default_factory=set)


class Names:
    """Names of own modules, at one moment."""

    def __init__(self, packages: frozenset[str], users: frozenset[str]) -> None:
        """`packages`: ours; `users`: top-level modules of a user's that are asked for."""
        self._packages, self._asked = packages, packages | users
        self.modules = Modules(packages, users)

    def name(self, module: str, chain: Sequence[str], edges: Edges) -> None:
        """A chain that begins with a name of the module, or with one of Python's own."""
        below = f"{module}.{chain[0]}"
        if not self.member(module, chain, edges) and below in self.modules.below(module):
            self.attribute(below, chain[1:], edges)

    def member(self, module: str, chain: Sequence[str], edges: Edges) -> bool:
        """Follow a chain that begins with a name of the module; whether it has that name."""
        summary = self.modules.summary(module)
        if summary is None:
            return False
        name, *rest = chain
        others = [star for star in summary.stars if star != module and self._provides(star, name, {module})]
        if (module, *chain) not in edges.followed:
            edges.followed.add((module, *chain))
            if name in summary.parts or name in summary.imports:
                edges.nodes[(module, name)] = None
            for target in summary.imports.get(name, ()):
                self.target(target, rest, edges)
            for star in others:
                self.member(star, chain, edges)
        return _has(summary, name) or bool(others)

    def _provides(self, module: str, name: str, seen: set[str]) -> bool:
        summary = None if module in seen else self.modules.summary(module)
        if summary is None:
            return False
        return _has(summary, name) or any(self._provides(star, name, seen | {module}) for star in summary.stars)

    def attribute(self, module: str, chain: Sequence[str], edges: Edges) -> None:
        """An own module's name or submodule; the module as a value counts whole with those below it, and alone where the name is not to be found."""
        edges.nodes[(module, IMPORT)] = None
        if not chain:
            edges.nodes[(module, ALL)] = None
            for below in self.modules.below(module):
                self.attribute(below, (), edges)
            return
        has_name = self.member(module, chain, edges)
        below = f"{module}.{chain[0]}"
        if self._below(below, chain[1:], edges):
            return
        if not has_name and not self.member(module, ["__getattr__"], edges):
            edges.nodes[(module, ALL)] = None

    def _below(self, module: str, chain: Sequence[str], edges: Edges) -> bool:
        """What lies below a package or folder under this name; whether anything does."""
        if self.modules.summary(module):
            self.attribute(module, chain, edges)
        elif self.modules.is_compiled(module):
            edges.obstacles.add(WITHOUT_SOURCE.format(module))
        elif self.modules.is_folder(module):  # without __init__.py
            names = chain[:1] or [name.rpartition(".")[2] for name in self.modules.below(module)]
            for name in names:
                self._below(f"{module}.{name}", chain[1:], edges)
        else:
            return False
        return True

    def target(self, target: Target, rest: Sequence[str], edges: Edges) -> None:
        module, attribute = target
        chain = [*([attribute] if attribute else []), *rest]
        if not self.modules.is_own(module):
            self._library(module, edges)
        else:
            self._below(module, chain, edges)

    def load(self, module: str, edges: Edges, only_own: bool = False) -> None:
        """A module and the packages above it are loaded, as far as there are such."""
        if not self.modules.is_own(module):
            if module and not only_own:
                self._library(module, edges)
            return
        while module:
            if self.modules.summary(module):
                edges.nodes[(module, IMPORT)] = None
            module = module.rpartition(".")[0]

    def _library(self, module: str, edges: Edges) -> None:
        if top(module) not in sys.stdlib_module_names:
            edges.libraries.add(top(module))

    def text(self, by: str, text: str, edges: Edges) -> None:
        """A text in module `by` that is the name of an own module, or `module:name`."""
        module, _, name = text.partition(":")
        is_ours = top(by) in self._packages  # what else lies on a machine is not meant by our texts
        if not (top(module) in self._asked if is_ours else self.modules.is_own(top(module))):
            return
        if not ("." in module or name or self.modules.summary(f"{module}.__main__")):
            return
        if self.modules.summary(module) is not None:
            self.program(text, edges)

    def program(self, text: str, edges: Edges) -> None:
        """A module that is started or imported by its name: its own program if it has one, else all of it."""
        module, _, name = text.partition(":")
        self.load(module, edges)
        if name and self.member(module, [name], edges):
            return
        module = f"{module}.__main__" if self.modules.summary(f"{module}.__main__") else module
        summary = self.modules.summary(module)
        edges.nodes[(module, MAIN if summary and MAIN in summary.parts else ALL)] = None


def _has(summary: Summary, name: str) -> bool:
    return name in summary.parts or name in summary.imports or name in summary.loose
