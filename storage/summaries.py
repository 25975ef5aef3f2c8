"""One module as a fingerprint sees it: each of its top-level definitions with a digest and what it refers to.

A definition counts when it is reached. What runs when the module is loaded and is no plain definition (a call, a change of a table,
a loop, a function under a decorator that may register it) is the part `(import)`, and counts whenever the module is loaded; what runs
when the module is started as a program is the part `(main)`.
"""

import ast
import copy
import hashlib
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from storage.bindings import Target, imported, is_for_checkers, loaded, names_bound, stores, top
from storage.errors import ConfigError
from storage.keys import encode
from storage.moments import base_name, called_at_import, handed_over, is_harmless
from storage.obstacles import obstacle
from storage.references import References, references
from storage.syntax import is_only_text, normalised

IMPORT, MAIN = "(import)", "(main)"
RUNNERS = frozenset({"tasks.policies.step"})  # decorators that run a step: no part of what the step computes
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_IMPORTS = (ast.Import, ast.ImportFrom)
_HOOKS = frozenset({"__init_subclass__", "__set_name__"})
_MAKERS = frozenset({"__init__", "__new__", "__post_init__", "model_post_init", "__call__"})


class Part(NamedTuple):
    """A definition. `names`, `targets`, `loads`, `texts`: what it refers to (see `References`); `obstacles`: in words.

    `kind`: function, class, value, literal. `calls`: what is called while it is defined; `given`: what is handed to such calls. Of a
    class, `bases`, and whether making a subclass (`hooks`) or an object of it (`makes`) runs code of its own.
    """

    digest: str
    names: list[str]
    targets: list[Target]
    loads: list[str]
    texts: list[str]
    obstacles: list[str]
    kind: str = "value"
    calls: list[str] = []  # noqa: RUF012  never changed
    bases: list[str] = []  # noqa: RUF012
    hooks: bool = False
    makes: bool = False
    given: list[str] = []  # noqa: RUF012


class Summary(NamedTuple):
    """A module. `parts`: by name; `imports`: what each imported name means; `stars`: modules of star imports; `loads`: modules loaded with it.

    `loose`: names that are bound by what runs at import; `unused`: modules imported for what loading them does; `order`: its
    definitions, effects (`#n`) and loads (`@module`) as they follow one another; `reaches`: what it declares as `REACHES`.
    """

    parts: dict[str, Part]
    imports: dict[str, list[Target]]
    stars: list[str]
    loads: list[str]
    loose: list[str]
    unused: list[str]
    order: list[str]
    reaches: list[str]


def digest_of(*values: Any) -> str:
    """A digest of plain values, injectively."""
    return hashlib.sha256(encode(values)).hexdigest()


def summarise(module: str, package: str, tree: ast.Module) -> Summary:
    """The summary of a module. `package`: what its relative imports start from. ConfigError where its `REACHES` cannot be read."""
    return _Module(module, package, tree).summary()


class _Module:
    def __init__(self, module: str, package: str, tree: ast.Module) -> None:
        self.module, self.package = module, package
        self.reaches = _declared(module, tree)
        self.docstring = ast.get_docstring(tree, clean=False)
        self.main: list[ast.stmt] = []
        runners = _runners(tree, package)
        self.statements = [kept for s in self._running(tree.body) if (kept := _without(s, runners))]
        self.imports: dict[str, list[Target]] = {}
        self.bound: dict[str, list[ast.stmt]] = {}
        for statement in self.statements:
            self._bind(statement)
        for target in _imported_globally(tree, package):
            self.imports.setdefault(target[0], []).append(target[1])

    def summary(self) -> Summary:
        parts: dict[str, Part] = {}
        effects: list[ast.stmt] = []
        order: list[str] = []
        for statement in self.statements:
            order += [f"@{name}" for node in stores([statement]) for name in loaded(node, self.package)]
            if self._is_plain(statement):
                names = _names(statement)
                part = self._definition(statement)
                parts |= dict.fromkeys(names, part)
                order += names if part.kind != "function" else []
            elif not isinstance(statement, _IMPORTS) or _is_kept(statement):
                order.append(f"#{len(effects)}")
                effects.append(statement)
        if effects or self.reaches:
            part = self._part(effects)
            parts[IMPORT] = part._replace(texts=[*part.texts, *(self.reaches or ())])
        if self.main:
            parts[MAIN] = self._part(self.main)
        if self.docstring is not None:
            parts["__doc__"] = Part(digest_of(self.docstring), [], [], [], [], [])
        nodes = [node for statement in self.statements for node in stores([statement])]
        loads = dict.fromkeys(name for node in nodes for name in loaded(node, self.package))
        stars = [target[0] for node in nodes for name, target in imported(node, self.package) if name == "*"]
        loose = [name for name in self.bound if name not in parts]
        unused = self._unused(parts)
        return Summary(parts, self.imports, stars, list(loads), loose, unused, order, list(self.reaches or ()))

    def _running(self, body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
        """The statements that loading the module runs; those of its own program are kept apart."""
        for statement in body:
            if is_for_checkers(statement):
                yield from self._running(statement.orelse)
            elif isinstance(statement, ast.If) and _asks_for_main(statement.test):
                self.main += statement.body
                yield from self._running(statement.orelse)
            elif not is_only_text(statement) and not isinstance(statement, ast.Pass):
                yield statement

    def _bind(self, statement: ast.stmt) -> None:
        for node in stores([statement]):
            for name, target in imported(node, self.package):
                if name != "*":
                    self.imports.setdefault(name, []).append(target)
        for name in dict.fromkeys(_names(statement)):
            self.bound.setdefault(name, []).append(statement)

    def _is_plain(self, statement: ast.stmt) -> bool:
        """Whether this only binds names, each of them nowhere else, and says by itself nothing that has an effect."""
        if isinstance(statement, ast.Assign):
            plain = all(_is_name(target) for target in statement.targets)
        elif isinstance(statement, ast.AnnAssign):
            plain = isinstance(statement.target, ast.Name)
        elif isinstance(statement, (*_FUNCTIONS, ast.ClassDef)):
            plain = all(is_harmless(decorator, self.imports) for decorator in statement.decorator_list)
        else:
            plain = type(statement).__name__ == "TypeAlias"
        once = all(len(self.bound[name]) == 1 and name not in self.imports for name in _names(statement))
        return (
            plain and (once or self._is_overloaded(statement)) and called_at_import(statement, self.imports) is not None
        )

    def _is_overloaded(self, statement: ast.stmt) -> bool:
        """Whether a function is the last of its name and the others are for type checkers only."""
        if not isinstance(statement, _FUNCTIONS) or statement.name in self.imports:
            return False
        *others, last = self.bound[statement.name]
        overloads = all(isinstance(o, _FUNCTIONS) and "overload" in ast.unparse(o.decorator_list[-1:]) for o in others)  # type: ignore[arg-type]
        return overloads and last is statement

    def _definition(self, statement: ast.stmt) -> Part:
        part = self._part([statement])
        calls = called_at_import(statement, self.imports) or []
        calls = self._known(calls)
        if isinstance(statement, ast.ClassDef):
            return self._class(statement, part, calls)
        given = self._known(handed_over(statement, self.imports))
        return part._replace(kind=_kind(statement), calls=calls, given=given)

    def _class(self, statement: ast.ClassDef, part: Part, calls: list[str]) -> Part:
        own = {node.name for node in statement.body if isinstance(node, _FUNCTIONS)}
        bases = self._known(
            ast.unparse(b) if isinstance(b, ast.Name | ast.Attribute) else base_name(b) for b in statement.bases
        )
        metaclasses = [keyword.value for keyword in statement.keywords if keyword.arg == "metaclass"]
        calls += self._known(map(base_name, metaclasses))  # which is called to make the class
        is_enum = any(
            top(target[0]) == "enum" for base in bases for target in self.imports.get(base.partition(".")[0], ())
        )
        calls += [statement.name] if is_enum else []  # its members are made with it
        hooks = bool(own & _HOOKS) or bool(metaclasses)
        given = self._known(handed_over(statement, self.imports))
        makes = bool(own & _MAKERS)
        return part._replace(kind="class", calls=calls, bases=bases, hooks=hooks, makes=makes, given=given)

    def _known(self, names: Iterable[str]) -> list[str]:
        """Those that begin with a name of the module."""
        return [
            name for name in names if name.partition(".")[0] in self.bound or name.partition(".")[0] in self.imports
        ]

    def _part(self, statements: list[ast.stmt]) -> Part:
        found = references(statements, self.package)
        return Part(
            digest_of([normalised(statement) for statement in statements]),
            list(found.names),
            list(found.targets),
            list(found.loads),
            list(found.texts),
            self._obstacles(found),
        )

    def _obstacles(self, found: References) -> list[str]:
        used = [(f"{module}.{chain}".rstrip("."), line) for (module, chain), line in found.targets.items()]
        for name, line in found.names.items():
            root, _, rest = name.partition(".")
            if root in self.imports:
                used += [(".".join(filter(None, (*target, rest))), line) for target in self.imports[root]]
            elif root not in self.bound:
                used.append((f"builtins.{name}", line))
        used += [("__subclasses__", line) for line in found.subclasses]
        told = [obstacle(self.module, name, line, declared=self.reaches is not None) for name, line in used]
        return list(dict.fromkeys(filter(None, told)))

    def _unused(self, parts: dict[str, Part]) -> list[str]:
        """Modules that are imported and never named: for what loading them does. A package's own names are for others."""
        if self.package == self.module:
            return []
        named = {name.partition(".")[0] for part in parts.values() for name in part.names}
        named |= set(parts["__all__"].texts) if "__all__" in parts else set()
        return [target[0] for name, targets in self.imports.items() if name not in named for target in targets]


def _names(statement: ast.stmt) -> list[str]:
    return list(dict.fromkeys(name for node in stores([statement]) for name in names_bound(node)))


def _is_name(target: ast.expr) -> bool:
    if isinstance(target, ast.Tuple | ast.List):
        return all(_is_name(element) for element in target.elts)
    return isinstance(target.value if isinstance(target, ast.Starred) else target, ast.Name)


def _is_kept(statement: ast.stmt) -> bool:
    """Whether an import changes more than the names that it binds."""
    if not isinstance(statement, ast.ImportFrom):
        return False
    return statement.module == "__future__" or any(alias.name == "*" for alias in statement.names)


def _kind(statement: ast.stmt) -> str:
    if isinstance(statement, _FUNCTIONS):
        evaluated = [*statement.decorator_list, *statement.args.defaults, *filter(None, statement.args.kw_defaults)]
        return "value" if evaluated else "function"
    value = getattr(statement, "value", None)
    return "literal" if isinstance(value, ast.Constant | ast.JoinedStr) else "value"


def _asks_for_main(test: ast.expr) -> bool:
    """Whether this is `__name__ == "__main__"`."""
    sides = [test.left, *test.comparators] if isinstance(test, ast.Compare) else []
    names = {getattr(side, "id", None) or getattr(side, "value", None) for side in sides}
    return names == {"__name__", "__main__"} and isinstance(test.ops[0], ast.Eq)  # pyright: ignore[reportAttributeAccessIssue]


def _runners(tree: ast.Module, package: str) -> frozenset[str]:
    """The names under which the module has what runs steps."""
    bound = (pair for node in tree.body for pair in imported(node, package))
    return frozenset(name for name, target in bound if ".".join(target) in RUNNERS)


def _without(statement: ast.stmt, runners: frozenset[str]) -> ast.stmt | None:
    """The statement without what runs steps: not imported, and no decorator."""
    if isinstance(statement, ast.ImportFrom):
        kept = [alias for alias in statement.names if (alias.asname or alias.name) not in runners]
        return ast.ImportFrom(statement.module, kept, statement.level) if kept else None
    if isinstance(statement, _FUNCTIONS):
        statement = copy.copy(statement)
        statement.decorator_list = [d for d in statement.decorator_list if base_name(d) not in runners]
    return statement


def _imported_globally(tree: ast.Module, package: str) -> Iterator[tuple[str, Target]]:
    """What functions import into names of the module, declared `global`."""
    for function in (node for node in ast.walk(tree) if isinstance(node, _FUNCTIONS)):
        nodes = list(stores(function.body))
        names = {name for node in nodes if isinstance(node, ast.Global) for name in node.names}
        yield from (bound for node in nodes for bound in imported(node, package) if bound[0] in names)


def _declared(module: str, tree: ast.Module) -> tuple[str, ...] | None:
    """The modules that `REACHES` names; None where there is none."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(getattr(target, "id", "") == "REACHES" for target in node.targets):
            try:
                value = ast.literal_eval(node.value)
            except ValueError:
                value = None
            if not isinstance(value, tuple) or not all(isinstance(name, str) for name in value):
                raise ConfigError(f"module {module}: REACHES must be a literal tuple of dotted module names")
            return value
    return None
