"""What happens at the moment a module is loaded: which calls a definition makes then, and which decorators have no other effect."""

import ast
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence

from storage.bindings import Target, names_bound, stores, top

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_HARMLESS = frozenset({"property", "staticmethod", "classmethod", "torch.no_grad", "torch.inference_mode"})
_HARMLESS_MODULES = ("functools", "contextlib", "dataclasses", "typing", "typing_extensions", "abc", "enum", "pydantic")
_OF_A_PROPERTY = frozenset({"setter", "getter", "deleter"})
_UNCLEAR = (ast.Lambda, ast.IfExp, ast.BoolOp, ast.NamedExpr, ast.Await)


_ONLY_KEEPS = frozenset(
    {"functools.partial", "functools.cache", "functools.lru_cache", "functools.wraps", "functools.cached_property"}
)


def called_at_import(statement: ast.stmt, imports: Mapping[str, Sequence[Target]]) -> list[str] | None:
    """What a definition calls while it is made, but for the standard library: dotted names, or their first names. None: nobody can say."""
    calls: dict[str, None] = {}
    own = _methods(statement)
    for node in _evaluated(statement):
        if node is not statement and isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            harmless = (is_harmless(decorator, imports, own) for decorator in node.decorator_list)
            if not all(harmless):
                return None
        if isinstance(node, ast.Attribute | ast.Subscript) and not isinstance(node.ctx, ast.Load):
            return None
        if isinstance(node, ast.Call):
            base = _base(node.func)
            if isinstance(base, _UNCLEAR) or (isinstance(base, ast.Name) and base.id in own):
                return None
            if isinstance(base, ast.Name) and not _is_standard(base.id, imports):
                calls[_dotted(node.func) or base.id] = None
    return list(calls)


def handed_over(statement: ast.stmt, imports: Mapping[str, Sequence[Target]]) -> list[str]:
    """Names that are handed to calls while a definition is made: a function among them may be called there and then, as `map` does."""
    names: dict[str, None] = {}
    for node in _evaluated(statement):
        if isinstance(node, ast.Call) and not all(_only_keeps(name) for name in _meant(node.func, imports)):
            values = [*node.args, *(keyword.value for keyword in node.keywords)]
            parts = [part for value in values for part in _evaluated(value)]
            names |= dict.fromkeys(_dotted(part) for part in parts if isinstance(part, ast.Name | ast.Attribute))
    return [name for name in names if name]


def is_harmless(decorator: ast.expr, imports: Mapping[str, Sequence[Target]], properties: Collection[str] = ()) -> bool:
    """Whether a decorator is known to do nothing but change the function it stands over. `properties`: what its class has by then."""
    function = decorator.func if isinstance(decorator, ast.Call) else decorator
    dotted = _dotted(function)
    root, _, rest = dotted.partition(".")
    if rest in _OF_A_PROPERTY and root in properties:
        return True
    if isinstance(decorator, ast.Call) and dotted.endswith("partial"):
        return False
    meant = _meant(function, imports)
    return bool(dotted) and all(name in _HARMLESS or top(name) in _HARMLESS_MODULES for name in meant)


def _meant(function: ast.expr, imports: Mapping[str, Sequence[Target]]) -> list[str]:
    """What a dotted name means by the module's imports."""
    dotted = _dotted(function)
    root, _, rest = dotted.partition(".")
    return [".".join(filter(None, (*target, rest))) for target in imports.get(root, [(dotted, "")])]


def _only_keeps(name: str) -> bool:
    """Whether what is handed to this is kept, and not called."""
    return name in _ONLY_KEEPS or (top(name) in _HARMLESS_MODULES and top(name) != "functools")


def base_name(node: ast.expr) -> str:
    """`a` of `a.b[c].d()`; empty where it begins with something else."""
    return getattr(_base(node), "id", "")


def _evaluated(root: ast.AST) -> Iterator[ast.AST]:
    """The nodes that are evaluated while `root` is: no bodies of functions, and no annotations."""
    waiting: list[ast.AST] = [root]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, (*_FUNCTIONS, ast.Lambda)):
            waiting += getattr(node, "decorator_list", [])
            waiting += [*node.args.defaults, *(default for default in node.args.kw_defaults if default)]
        elif isinstance(node, ast.AnnAssign):
            waiting += [node.target, *([node.value] if node.value else [])]
        else:
            waiting += ast.iter_child_nodes(node)


def _methods(statement: ast.stmt) -> set[str]:
    if not isinstance(statement, ast.ClassDef):
        return set()
    return {name for node in stores(statement.body) if isinstance(node, _FUNCTIONS) for name in names_bound(node)}


def _base(node: ast.expr) -> ast.expr:
    """What `a` is in `a.b[c].d()`."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node


def _dotted(node: ast.expr) -> str:
    """`a.b.c` as text; empty where it is anything else."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return ".".join(reversed([*names, node.id])) if isinstance(node, ast.Name) else ""


def _is_standard(name: str, imports: Mapping[str, Sequence[Target]]) -> bool:
    targets = imports.get(name, ())
    return bool(targets) and all(top(module) in sys.stdlib_module_names for module, _ in targets)
