"""What making a definition does besides: registering a class or a function, or whatever own code it calls. And in which order."""

from collections.abc import Iterable, Iterator

from storage.resolving import Edges, Names, Node
from storage.summaries import IMPORT


class Effects:
    """Which definitions act when they are made."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._known: dict[Node, bool] = {}
        self._moments: dict[str, list[str]] = {}

    def acts(self, module: str, name: str) -> bool:
        """Whether an item of a module's order is a statement that runs, or a definition whose making runs own code."""
        if name.startswith(("#", "@")):
            return name.startswith("#")
        if (module, name) not in self._known:
            self._known[(module, name)] = self._acts(module, name)
        return self._known[(module, name)]

    def in_order(self, modules: Iterable[str]) -> Iterator[str]:
        """What acts when these are loaded one after the other, with all that they load, in the order in which it does."""
        seen: set[str] = set()
        for module in modules:
            yield from self._loading(module, seen)

    def _loading(self, module: str, seen: set[str]) -> Iterator[str]:
        if module in seen:
            return
        seen.add(module)
        for item in self._items(module):
            if item.startswith("@"):
                yield from self._loading(item[1:], seen)
            else:
                yield f"{module}:{item}"

    def _items(self, module: str) -> list[str]:
        """What acts in a module, and which own modules it loads, the package above first."""
        if module not in self._moments:
            summary = self._names.modules.summary(module)
            order = [f"@{module.rpartition('.')[0]}", *(summary.order if summary else ())]
            self._moments[module] = [item for item in order if self._is_own(item) or self.acts(module, item)]
        return self._moments[module]

    def _is_own(self, item: str) -> bool:
        return item.startswith("@") and self._names.modules.summary(item[1:]) is not None

    def _acts(self, module: str, name: str) -> bool:
        summary = self._names.modules.summary(module)
        part = summary.parts.get(name) if summary else None
        if part is None:
            return False
        looked = {"hooks": part.bases, "makes": part.calls, "called": part.given}
        return any(self._is(one, module, what, set()) for what, names in looked.items() for one in names)

    def _is(self, chain: str, module: str, what: str, seen: set[Node]) -> bool:
        """Whether a chain means own code that runs: a class that `hooks` when it has a subclass, what `makes` something when it is
        called (a function, an object that is no literal, a class), a function that may be `called` by what it is handed to."""
        edges = Edges()
        self._names.name(module, chain.split("."), edges)
        return any(self._runs(node, what, seen) for node in edges.nodes)

    def _runs(self, node: Node, what: str, seen: set[Node]) -> bool:
        summary = None if node in seen else self._names.modules.summary(node[0])
        seen.add(node)
        part = summary.parts.get(node[1]) if summary and node[1] != IMPORT else None
        if part is None or part.kind == "literal":
            return False
        if part.kind == "function":
            return what != "hooks"
        if part.kind != "class":
            return what != "called"  # some object: as a base it may be any class
        if what == "called":
            what = "makes"
        return (
            part.hooks or (what == "makes" and part.makes) or any(self._is(b, node[0], what, seen) for b in part.bases)
        )
