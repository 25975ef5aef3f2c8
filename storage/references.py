"""What a piece of source refers to outside itself: global names, imports inside functions, texts that may name a module.

Python's own rules of scope, read from the syntax tree: parameters, stores, nested functions, comprehensions, `global` and
`nonlocal`; names of a class body are not seen in its methods. Annotations count, also those written as texts.
"""

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from storage.bindings import COMPREHENSIONS, Target, imported, is_for_checkers, loaded, names_bound, stores
from storage.syntax import is_only_text

_MODULE_LIKE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*(:[A-Za-z_]\w*)?")
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
IMPORTERS = frozenset({"import_module", "__import__"})


@dataclass
class References:
    """`names`: dotted chains that begin with a global name, each with its first line; `targets`: the same by way of imports inside functions.

    `loads`: modules that those imports load; `texts`: constants that could name a module or `module:name`; `subclasses`: the
    lines that ask for `__subclasses__`.
    """

    names: dict[str, int] = field(default_factory=dict)
    targets: dict[Target, int] = field(default_factory=dict)
    loads: dict[str, None] = field(default_factory=dict)
    texts: dict[str, None] = field(default_factory=dict)
    subclasses: list[int] = field(default_factory=list)


@dataclass
class _Scope:
    """Names bound in a function, class or comprehension, with what they import; `outside`: those declared global."""

    names: dict[str, list[Target]]
    outside: frozenset[str] = frozenset()
    is_class: bool = False


def references(nodes: Iterable[ast.AST], package: str) -> References:
    """What these top-level statements of a module refer to. `package`: what its relative imports start from."""
    reader = _Reader(package)
    for node in nodes:
        reader.read(node)
    return reader.found


class _Reader:
    """Walks a tree with the scopes that are open around each node."""

    def __init__(self, package: str) -> None:
        self.found = References()
        self._package = package
        self._scopes: list[_Scope] = []

    def read(self, node: ast.AST | None) -> None:
        if node is None:
            return
        if isinstance(node, ast.Name):
            self._refer(node.id, (), node.lineno)
        elif isinstance(node, ast.Attribute):
            self._attribute(node)
        elif isinstance(node, ast.Constant):
            self._text(node.value)
        elif isinstance(node, _FUNCTIONS):
            self._function(node)
        elif isinstance(node, ast.ClassDef):
            self._class(node)
        elif isinstance(node, COMPREHENSIONS):
            self._comprehension(node)
        elif isinstance(node, ast.Call) and self._literal_import(node):
            self._all([*node.args, *node.keywords])
        elif isinstance(node, ast.AnnAssign):
            self._annotation(node.annotation)
            self._all([node.target, node.value])
        elif isinstance(node, ast.Import | ast.ImportFrom):
            self.found.loads |= dict.fromkeys(loaded(node, self._package)) if self._scopes else {}
        elif is_only_text(node):
            return
        elif isinstance(node, ast.JoinedStr):
            self._all(part for part in node.values if isinstance(part, ast.FormattedValue))
        elif is_for_checkers(node):
            self._all(node.orelse)
        else:
            self._all(ast.iter_child_nodes(node))

    def _all(self, nodes: Iterable[ast.AST | None]) -> None:
        for node in nodes:
            self.read(node)

    def _attribute(self, node: ast.Attribute) -> None:
        attributes, base = [node.attr], node.value
        while isinstance(base, ast.Attribute):
            attributes.append(base.attr)
            base = base.value
        if "__subclasses__" in attributes:
            self.found.subclasses.append(node.lineno)
        if isinstance(base, ast.Name):
            self._refer(base.id, tuple(reversed(attributes)), node.lineno)
        else:
            self.read(base)

    def _refer(self, name: str, attributes: tuple[str, ...], line: int) -> None:
        targets, is_global = self._look_up(name)
        for module, attribute in targets:
            chain = ".".join((*([attribute] if attribute else []), *attributes))
            self.found.targets.setdefault((module, chain), line)
        if is_global:
            self.found.names.setdefault(".".join((name, *attributes)), line)

    def _look_up(self, name: str) -> tuple[list[Target], bool]:
        """What a name imports, and whether it may be the module's: in a class body it may be until it is bound there."""
        found: list[Target] = []
        for depth, scope in enumerate(reversed(self._scopes)):
            if name in scope.outside:
                break
            if name in scope.names and not (scope.is_class and depth):
                found += scope.names[name]
                if not scope.is_class:
                    return found, False
        return found, True

    def _text(self, value: object) -> None:
        if isinstance(value, str) and len(value) < 200 and _MODULE_LIKE.fullmatch(value):
            self.found.texts[value] = None

    def _literal_import(self, node: ast.Call) -> bool:
        """Whether this is `import_module("a.b")` or `__import__("a.b")`, which is then as good as an import."""
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        argument = node.args[0] if node.args else None
        value = argument.value if isinstance(argument, ast.Constant) else None
        if name not in IMPORTERS or not isinstance(value, str) or not _MODULE_LIKE.fullmatch(value):
            return False
        self.found.loads[value] = None
        self.found.targets.setdefault((value, ""), node.lineno)
        return True

    def _annotation(self, node: ast.AST | None) -> None:
        if node is None:
            return
        self.read(node)
        for inner in ast.walk(node):
            if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
                try:
                    written = ast.parse(inner.value.strip(), mode="eval").body
                except (SyntaxError, ValueError):  # a Literal's value, or words
                    continue
                self.read(written)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> None:
        arguments = node.args
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        every += [argument for argument in (arguments.vararg, arguments.kwarg) if argument]
        body = [node.body] if isinstance(node, ast.Lambda) else node.body
        with_types = _types(node)
        if with_types:
            self._scopes.append(with_types)
        if not isinstance(node, ast.Lambda):
            self._all(node.decorator_list)
            self._annotation(node.returns)
            self._all(getattr(node, "type_params", ()))
        self._all([*arguments.defaults, *arguments.kw_defaults])
        for argument in every:
            self._annotation(argument.annotation)
        scope = self._scope(body)
        scope.names |= {argument.arg: [] for argument in every}
        self._inside(scope, body)
        if with_types:
            self._scopes.pop()

    def _class(self, node: ast.ClassDef) -> None:
        with_types = _types(node)
        if with_types:
            self._scopes.append(with_types)
        self._all([*node.decorator_list, *node.bases, *node.keywords, *getattr(node, "type_params", ())])
        scope = self._scope(node.body)
        scope.is_class = True
        self._inside(scope, node.body)
        if with_types:
            self._scopes.pop()

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp) -> None:
        first = node.generators[0]
        self.read(first.iter)
        bound = (
            name for generator in node.generators for inner in ast.walk(generator.target) for name in names_bound(inner)
        )
        rest = [part for g in node.generators for part in (g.target, *([g.iter] if g is not first else []), *g.ifs)]
        values = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        self._inside(_Scope({name: [] for name in bound}), [*rest, *values])

    def _inside(self, scope: _Scope, nodes: Iterable[ast.AST]) -> None:
        self._scopes.append(scope)
        self._all(nodes)
        self._scopes.pop()

    def _scope(self, body: Iterable[ast.AST]) -> _Scope:
        names: dict[str, list[Target]] = {}
        outside: set[str] = set()
        elsewhere: set[str] = set()
        for node in stores(body):
            if isinstance(node, ast.Global):
                outside |= set(node.names)
            elif isinstance(node, ast.Nonlocal):
                elsewhere |= set(node.names)
            for name, target in imported(node, self._package):
                names.setdefault(name, []).append(target)
            for name in names_bound(node):
                names.setdefault(name, [])
        kept = {name: targets for name, targets in names.items() if name not in outside | elsewhere}
        return _Scope(kept, frozenset(outside))


def _types(node: ast.AST) -> _Scope | None:
    """A scope of the type parameters that a function or class declares (Python 3.12)."""
    parameters = [parameter.name for parameter in getattr(node, "type_params", ())]
    return _Scope({name: [] for name in parameters}) if parameters else None
