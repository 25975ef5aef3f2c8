"""What happens at the moment a module is loaded: which calls a definition makes then, and which decorators have no other effect."""

import ast
import sys
from collections.abc import Iterator, Mapping, Sequence

from storage.bindings import Target, names_bound, stores, top

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_HARMLESS = frozenset({"property", "staticmethod", "classmethod", "torch.no_grad", "torch.inference_mode"})
_HARMLESS_MODULES = ("functools", "contextlib", "dataclasses", "typing", "typing_extensions", "abc", "enum", "pydantic")
_OF_A_PROPERTY = frozenset({"setter", "getter", "deleter"})
_UNCLEAR = (ast.Lambda, ast.IfExp, ast.BoolOp, ast.NamedExpr, ast.Await)


def called_at_import(statement: ast.stmt, imports: Mapping[str, Sequence[Target]]) -> list[str] | None:
    """What a definition calls while it is made, but for the standard library: dotted names, or their first names. None: nobody can say."""
    calls: dict[str, None] = {}
    own = _methods(statement)
    for node in _evaluated(statement):
        if node is not statement and isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            harmless = (is_harmless(decorator, imports) for decorator in node.decorator_list)
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


def is_harmless(decorator: ast.expr, imports: Mapping[str, Sequence[Target]]) -> bool:
    """Whether a decorator is known to do nothing but change the function it stands over."""
    function = decorator.func if isinstance(decorator, ast.Call) else decorator
    dotted = _dotted(function)
    root, _, rest = dotted.partition(".")
    if rest in _OF_A_PROPERTY and root not in imports:
        return True
    meant = [".".join(filter(None, (*target, rest))) for target in imports.get(root, [(dotted, "")])]
    return bool(dotted) and all(name in _HARMLESS or top(name) in _HARMLESS_MODULES for name in meant)


def base_name(node: ast.expr) -> str:
    """`a` of `a.b[c].d()`; empty where it begins with something else."""
    return getattr(_base(node), "id", "")


def _evaluated(statement: ast.stmt) -> Iterator[ast.AST]:
    """The nodes that are evaluated while `statement` is: no bodies of functions, and no annotations."""
    waiting: list[ast.AST] = [statement]
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
