"""Which nodes of a syntax tree bind a name in a scope, and what import statements bind and load."""

import ast
from collections.abc import Iterable, Iterator
from typing import TypeGuard

Target = tuple[str, str]  # a module, and the name in it; empty: the module itself
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def imported(node: ast.AST, package: str) -> Iterator[tuple[str, Target]]:
    """(name bound, its target) for each name that an import statement binds; a star import binds `*`."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield (alias.asname, (alias.name, "")) if alias.asname else (top(alias.name), (top(alias.name), ""))
    elif isinstance(node, ast.ImportFrom):
        base = absolute(node, package)
        for alias in node.names:
            yield (alias.asname or alias.name, (base, alias.name))


def loaded(node: ast.AST, package: str) -> list[str]:
    """The modules that an import statement loads; of `from a import b` perhaps also `a.b`, which is for others to find out."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    base = absolute(node, package)
    return [base, *(f"{base}.{alias.name}" for alias in node.names if alias.name != "*")]


def absolute(node: ast.ImportFrom, package: str) -> str:
    """The module that names are imported from."""
    parents = package.split(".")[: len(package.split(".")) - (node.level - 1)] if node.level else []
    return ".".join([*parents, *([node.module] if node.module else [])])


def top(module: str) -> str:
    """Of `a.b.c` the `a`."""
    return module.partition(".")[0]


def stores(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """The nodes that bind names in the scope that `nodes` are the body of: stores, imports, definitions, declarations."""
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Lambda):
            waiting += [*node.args.defaults, *(default for default in node.args.kw_defaults if default)]
        elif isinstance(node, COMPREHENSIONS):
            yield from _walrus(node)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node
            waiting += _evaluated_outside(node)
        else:
            yield node
            waiting += ast.iter_child_nodes(node)


def names_bound(node: ast.AST) -> list[str]:
    """The names that one node binds by itself; those of imports are left to `imported`."""
    if isinstance(node, ast.Name):
        return [node.id] if not isinstance(node.ctx, ast.Load) else []
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar):
        return [node.name] if node.name else []
    return [node.rest] if isinstance(node, ast.MatchMapping) and node.rest else []


def _walrus(node: ast.AST) -> Iterator[ast.AST]:
    """Names that `:=` in a comprehension binds around it; its own loop variables stay inside."""
    waiting = [node]
    while waiting:
        inner = waiting.pop()
        if isinstance(inner, ast.NamedExpr):
            yield inner.target
        if not isinstance(inner, ast.Lambda):
            waiting += ast.iter_child_nodes(inner)


def _evaluated_outside(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> list[ast.AST]:
    if isinstance(node, ast.ClassDef):
        return [*node.decorator_list, *node.bases, *node.keywords]
    return [*node.decorator_list, *node.args.defaults, *(default for default in node.args.kw_defaults if default)]


def is_for_checkers(node: ast.AST) -> TypeGuard[ast.If]:
    """Whether this is `if TYPE_CHECKING`, of which only the `else` runs."""
    test = node.test if isinstance(node, ast.If) else None
    return "TYPE_CHECKING" in (getattr(test, "id", ""), getattr(test, "attr", ""))
