"""The walk from definition to definition, over the summaries of the modules as they are at one moment."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from storage.bindings import top
from storage.effects import Effects
from storage.errors import ConfigError
from storage.resolving import ALL, WITHOUT_SOURCE, Edges, Names, Node
from storage.summaries import IMPORT, Part, Summary, digest_of


@dataclass
class Found:
    """What was reached: digests by `module:name`, top-level modules of libraries, obstacles in words, the modules that are loaded."""

    definitions: dict[str, str] = field(default_factory=dict)
    libraries: set[str] = field(default_factory=set)
    obstacles: set[str] = field(default_factory=set)
    modules: set[str] = field(default_factory=set)


class Code:
    """All own code at one moment; what a definition leads to is worked out once."""

    def __init__(self, packages: frozenset[str], users: frozenset[str]) -> None:
        """`packages`: ours; `users`: top-level modules of a user's that are asked for."""
        self._packages = packages
        self._names = Names(packages, users)
        self._effects = Effects(self._names)
        self.reached: dict[tuple[str, ...], Any] = {}  # what was made of earlier walks, by their entries
        self._edges: dict[Node, Edges] = {}
        self._digests: dict[Node, str] = {}

    def holds(self) -> bool:
        """Whether nothing has changed that was looked at."""
        return self._names.modules.hold()

    def walk(self, entries: Sequence[str]) -> Found:
        """What these reach together: `module:name`, or a module with all that is in it."""
        found, start, seen = Found(), Edges(), set[Node]()
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
        modules = [entry.partition(":")[0] for entry in entries]
        effects = list(self._effects.in_order([*modules, *sorted(found.modules)]))
        if len({effect.partition(":")[0] for effect in effects}) > 1:  # within one module, its own order says it
            found.definitions["(order)"] = digest_of(effects)
        return found

    def _entry(self, entry: str, start: Edges) -> None:
        module, _, name = entry.partition(":")
        summary = self._names.modules.summary(module)
        if summary is None and self._names.modules.is_compiled(module):
            start.obstacles.add(WITHOUT_SOURCE.format(module))
            return
        if summary is None:
            where = "" if top(module) in self._packages else f" in {os.getcwd()} or on PYTHONPATH"
            raise ConfigError(
                f"{entry}: module {module!r} has no Python source that can be found{where}; correct the name"
            )
        if name and not self._names.member(module, [name], start):
            if not summary.stars and IMPORT not in summary.parts:
                raise ConfigError(f"{entry}: module {module!r} has no {name!r}; correct the name")
            start.obstacles.add(
                f"{module}: {name!r} is made while the module is loaded, and cannot be found by reading; define it there"
            )
        start.nodes[(module, IMPORT if name else ALL)] = None

    def _note(self, node: Node, found: Found) -> None:
        module, name = node
        if name == IMPORT:
            found.modules.add(module)
        if node not in self._digests:
            self._digests[node] = self._digest(module, name)
        if digest := self._digests[node]:
            found.definitions[f"{module}:{name}"] = digest

    def _digest(self, module: str, name: str) -> str:
        """Of a definition its digest, of an imported name that of what it means; empty where there is neither."""
        summary = self._names.modules.summary(module)
        if summary and name in summary.parts:
            return summary.parts[name].digest
        targets = summary.imports.get(name, ()) if summary else ()
        return digest_of(" ".join(":".join(target) for target in targets)) if targets else ""

    def _note_order(self, module: str, found: Found, seen: set[Node]) -> None:
        """Where loading a module has effects, what was reached of it counts in its order."""
        summary = self._names.modules.summary(module)
        items = [item for item in summary.order if not item.startswith("@")] if summary else []
        if len(items) > 1 and any(self._effects.acts(module, item) for item in items):
            order = [item for item in items if item.startswith("#") or (module, item) in seen]
            found.definitions[f"{module}:(order)"] = digest_of(order)

    def _from(self, node: Node) -> Edges:
        if node not in self._edges:
            self._edges[node] = self._edges_of(*node)
        return self._edges[node]

    def _edges_of(self, module: str, name: str) -> Edges:
        edges, summary = Edges(), self._names.modules.summary(module)
        if summary is None:
            return edges
        if name == ALL:
            self._whole(module, summary, edges)
        elif name == IMPORT:
            self._loading(module, summary, edges)
        if name in summary.parts:
            self._part(module, summary.parts[name], edges)
        edges.nodes[(module, IMPORT)] = None
        return edges

    def _part(self, module: str, part: Part, edges: Edges) -> None:
        edges.obstacles |= set(part.obstacles)
        for name in part.names:
            self._names.name(module, name.split("."), edges)
        for target, chain in part.targets:
            self._names.target((target, ""), chain.split(".") if chain else (), edges)
        for name in part.loads:
            self._names.load(name, edges)
        for text in part.texts:
            self._names.text(module, text, edges)

    def _loading(self, module: str, summary: Summary, edges: Edges) -> None:
        """What loading a module brings with it: the packages above, what it imports, definitions that act, declared programs."""
        self._names.load(module.rpartition(".")[0], edges)
        for name in summary.loads:
            self._names.load(name, edges, only_own=True)
        for name in (*summary.unused, *summary.stars):
            self._names.load(name, edges)
        for name in summary.order:
            if not name.startswith(("#", "@")) and self._effects.acts(module, name):
                edges.nodes[(module, name)] = None
        for name in summary.reaches:
            if self._names.modules.summary(name.partition(":")[0]) is None:
                raise ConfigError(f"module {name!r}, named by REACHES in {module}, has no source; correct the name")
            self._names.program(name, edges)

    def _whole(self, module: str, summary: Summary, edges: Edges) -> None:
        edges.nodes |= {(module, name): None for name in summary.parts if name != "__doc__"}
        for name, targets in summary.imports.items():
            if any(attribute and not self._names.modules.summary(f"{base}.{attribute}") for base, attribute in targets):
                self._names.member(module, [name], edges)
