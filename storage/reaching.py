"""The walk from definition to definition, over the summaries of the modules as they are at one moment."""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from storage.bindings import Target, top
from storage.errors import ConfigError
from storage.modules import Modules
from storage.summaries import IMPORT, MAIN, Part, Summary, digest_of

ALL = "*"  # a whole module; as the part of a node
WITHOUT_SOURCE = "{} is there without its Python source, and cannot be read; install it as a library"
Node = tuple[str, str]  # a module and a part of it: a name, IMPORT, MAIN, or ALL


@dataclass
class Found:
    """What was reached: digests by `module:name`, top-level modules of libraries, obstacles in words, the modules that are loaded."""

    definitions: dict[str, str] = field(default_factory=dict)
    libraries: set[str] = field(default_factory=set)
    obstacles: set[str] = field(default_factory=set)
    modules: set[str] = field(default_factory=set)


@dataclass
class _Edges:
    """Where a node leads. `followed`: chains of names that have been looked up, by the module they begin in."""

    nodes: dict[Node, None] = field(default_factory=dict)
    libraries: set[str] = field(default_factory=set)
    obstacles: set[str] = field(default_factory=set)
    followed: set[tuple[str, ...]] = field(default_factory=set)


class Code:
    """All own code at one moment; what a definition leads to is worked out once."""

    def __init__(self, packages: frozenset[str], users: frozenset[str]) -> None:
        """`packages`: ours; `users`: top-level modules of a user's that are asked for."""
        self._packages, self._asked = packages, packages | users
        self._modules = Modules(packages, users)
        self._edges: dict[Node, _Edges] = {}
        self._acting: dict[Node, bool] = {}

    def holds(self) -> bool:
        """Whether nothing has changed that was looked at."""
        return self._modules.hold()

    def walk(self, entries: Iterable[str]) -> Found:
        """What these reach together: `module:name`, or a module with all that is in it."""
        found, start, seen = Found(), _Edges(), set[Node]()
        for entry in entries:
            self._entry(entry, start)
        waiting = list(start.nodes)
        while waiting:
            node = waiting.pop()
            if node in seen:
                continue
            seen.add(node)
            edges = self._from(node)
            found.libraries |= edges.libraries
            found.obstacles |= edges.obstacles
            waiting += edges.nodes
            self._note(node, found)
        found.libraries |= start.libraries
        found.obstacles |= start.obstacles
        for module in found.modules:
            self._note_order(module, found, seen)
        return found

    def _entry(self, entry: str, start: _Edges) -> None:
        module, _, name = entry.partition(":")
        summary = self._modules.summary(module)
        if summary is None and self._modules.is_compiled(module):
            start.obstacles.add(WITHOUT_SOURCE.format(module))
            return
        if summary is None:
            raise ConfigError(
                f"module {module!r} has no Python source that can be found; correct the name, or PYTHONPATH"
            )
        if name and not self._member(module, [name], start):
            if not summary.stars and IMPORT not in summary.parts:
                raise ConfigError(f"module {module!r} has no {name!r}; correct the name")
            start.obstacles.add(
                f"{module}: {name!r} is made while the module is loaded, and cannot be found by reading; define it there"
            )
        start.nodes[(module, IMPORT if name else ALL)] = None

    def _note(self, node: Node, found: Found) -> None:
        module, name = node
        summary = self._modules.summary(module)
        if name == IMPORT:
            found.modules.add(module)
        if summary and name in summary.parts:
            found.definitions[f"{module}:{name}"] = summary.parts[name].digest
        elif summary and name in summary.imports:
            found.definitions[f"{module}:{name}"] = digest_of("import", summary.imports[name])

    def _note_order(self, module: str, found: Found, seen: set[Node]) -> None:
        """Where loading a module has effects, what was reached of it counts in its order."""
        summary = self._modules.summary(module)
        if summary is None:
            return
        effects = [name for name in summary.order if name.startswith("#") or self._acts(module, name)]
        if len(summary.order) > 1 and effects:
            order = [name for name in summary.order if name.startswith("#") or (module, name) in seen]
            found.definitions[f"{module}:(order)"] = digest_of(order)

    def _from(self, node: Node) -> _Edges:
        if node not in self._edges:
            edges = self._edges[node] = _Edges()
            module, name = node
            summary = self._modules.summary(module)
            if summary is None:
                return edges
            if name == ALL:
                self._whole(module, summary, edges)
            elif name == IMPORT:
                self._loading(module, summary, edges)
            if name in summary.parts:
                self._part(module, summary.parts[name], edges)
            edges.nodes[(module, IMPORT)] = None
        return self._edges[node]

    def _part(self, module: str, part: Part, edges: _Edges) -> None:
        edges.obstacles |= set(part.obstacles)
        for name in part.names:
            self._name(module, name.split("."), edges)
        for target, chain in part.targets:
            self._target((target, ""), chain.split(".") if chain else (), edges)
        for name in part.loads:
            self._load(name, edges)
        for text in part.texts:
            self._text(module, text, edges)

    def _loading(self, module: str, summary: Summary, edges: _Edges) -> None:
        """What loading a module brings with it: the packages above, what it imports, definitions that act, declared programs."""
        self._load(module.rpartition(".")[0], edges)
        for name in summary.loads:
            self._load(name, edges, only_own=True)
        for name in (*summary.unused, *summary.stars):
            self._load(name, edges)
        for name in summary.order:
            if self._acts(module, name):
                edges.nodes[(module, name)] = None
        for name in summary.reaches:
            if self._modules.summary(name.partition(":")[0]) is None:
                raise ConfigError(f"module {name!r}, named by REACHES in {module}, has no source; correct the name")
            self._program(name, edges)

    def _whole(self, module: str, summary: Summary, edges: _Edges) -> None:
        edges.nodes |= {(module, name): None for name in summary.parts if name != "__doc__"}
        for name, targets in summary.imports.items():
            if any(attribute and not self._modules.summary(f"{base}.{attribute}") for base, attribute in targets):
                self._member(module, [name], edges)

    def _name(self, module: str, chain: Sequence[str], edges: _Edges) -> None:
        """A chain that begins with a name of the module, or with one of Python's own."""
        below = f"{module}.{chain[0]}"
        if not self._member(module, chain, edges) and below in self._modules.below(module):
            self._attribute(below, chain[1:], edges)

    def _member(self, module: str, chain: Sequence[str], edges: _Edges) -> bool:
        """Follow a chain that begins with a name of the module; whether it has that name."""
        summary = self._modules.summary(module)
        if summary is None:
            return False
        name, *rest = chain
        others = [star for star in summary.stars if star != module and self._provides(star, name, {module})]
        if (module, *chain) not in edges.followed:
            edges.followed.add((module, *chain))
            if name in summary.parts or name in summary.imports:
                edges.nodes[(module, name)] = None
            for target in summary.imports.get(name, ()):
                self._target(target, rest, edges)
            for star in others:
                self._member(star, chain, edges)
        return _has(summary, name) or bool(others)

    def _provides(self, module: str, name: str, seen: set[str]) -> bool:
        summary = None if module in seen else self._modules.summary(module)
        if summary is None:
            return False
        return _has(summary, name) or any(self._provides(star, name, seen | {module}) for star in summary.stars)

    def _attribute(self, module: str, chain: Sequence[str], edges: _Edges) -> None:
        """An own module's name or submodule; the module as a value counts whole with those below it, and alone where the name is not to be found."""
        edges.nodes[(module, IMPORT)] = None
        if not chain:
            edges.nodes[(module, ALL)] = None
            for below in self._modules.below(module):
                self._attribute(below, (), edges)
            return
        has_name = self._member(module, chain, edges)
        below = f"{module}.{chain[0]}"
        if self._modules.summary(below):
            self._attribute(below, chain[1:], edges)
        elif self._modules.is_compiled(below):
            edges.obstacles.add(WITHOUT_SOURCE.format(below))
        elif not has_name and not self._member(module, ["__getattr__"], edges):
            edges.nodes[(module, ALL)] = None

    def _target(self, target: Target, rest: Sequence[str], edges: _Edges) -> None:
        module, attribute = target
        chain = [*([attribute] if attribute else []), *rest]
        if not self._modules.is_own(module):
            self._library(module, edges)
        elif self._modules.summary(module) is not None:
            self._attribute(module, chain, edges)
        elif chain and self._modules.below(module):  # a folder without __init__.py
            self._target((f"{module}.{chain[0]}", ""), chain[1:], edges)
        elif self._modules.is_compiled(module):
            edges.obstacles.add(WITHOUT_SOURCE.format(module))

    def _load(self, module: str, edges: _Edges, only_own: bool = False) -> None:
        """A module and the packages above it are loaded, as far as there are such."""
        if not self._modules.is_own(module):
            if module and not only_own:
                self._library(module, edges)
            return
        while module:
            if self._modules.summary(module):
                edges.nodes[(module, IMPORT)] = None
            module = module.rpartition(".")[0]

    def _library(self, module: str, edges: _Edges) -> None:
        if top(module) not in sys.stdlib_module_names:
            edges.libraries.add(top(module))

    def _text(self, by: str, text: str, edges: _Edges) -> None:
        """A text in module `by` that is the name of an own module, or `module:name`."""
        module, _, name = text.partition(":")
        is_ours = top(by) in self._packages  # what else lies on a machine is not meant by our texts
        if not (top(module) in self._asked if is_ours else self._modules.is_own(top(module))):
            return
        if not ("." in module or name or self._modules.summary(f"{module}.__main__")):
            return
        if self._modules.summary(module) is not None:
            self._program(text, edges)

    def _program(self, text: str, edges: _Edges) -> None:
        """A module that is started or imported by its name: its own program if it has one, else all of it."""
        module, _, name = text.partition(":")
        self._load(module, edges)
        if name and self._member(module, [name], edges):
            return
        module = f"{module}.__main__" if self._modules.summary(f"{module}.__main__") else module
        summary = self._modules.summary(module)
        edges.nodes[(module, MAIN if summary and MAIN in summary.parts else ALL)] = None

    def _acts(self, module: str, name: str) -> bool:
        """Whether making this definition runs own code that may change something else."""
        if (module, name) not in self._acting:
            self._acting[(module, name)] = False  # while it is found out
            summary = self._modules.summary(module)
            part = summary.parts.get(name) if summary else None
            self._acting[(module, name)] = part is not None and (
                any(self._is(base, module, "hooks") for base in part.bases)
                or any(self._is(call, module, "makes") for call in part.calls)
            )
        return self._acting[(module, name)]

    def _is(self, chain: str, module: str, what: str) -> bool:
        """Whether a chain means own code that runs: a function, an object that is no literal, a class that `hooks` or `makes`."""
        edges = _Edges()
        self._name(module, chain.split("."), edges)
        return any(self._runs(node, what) for node in edges.nodes)

    def _runs(self, node: Node, what: str) -> bool:
        summary = self._modules.summary(node[0])
        part = summary.parts.get(node[1]) if summary and node[1] != IMPORT else None
        if part is None or part.kind == "literal":
            return False
        if part.kind != "class":
            return what == "makes"
        return part.hooks or (what == "makes" and part.makes) or any(self._is(b, node[0], what) for b in part.bases)


def _has(summary: Summary, name: str) -> bool:
    return name in summary.parts or name in summary.imports or name in summary.loose
