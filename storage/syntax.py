"""A module's syntax tree as plain values that are the same on every Python version this project runs on.

`ast.dump` differs between versions: fields are added, strings inside f-strings are split otherwise. Here a field without
content is left out, so that a new one changes nothing; texts that stand alone (docstrings), `pass`, positions and type comments are left
out too.
"""

import ast
from typing import Any

_SKIPPED = frozenset({"ctx", "kind", "type_comment", "type_ignores"})


def normalised(node: Any) -> Any:
    """`node` as nested lists and scalars; equal for sources that differ in comments, layout and docstrings only."""
    if isinstance(node, list):
        return [normalised(item) for item in node if not is_only_text(item) and not isinstance(item, ast.Pass)]
    if isinstance(node, ast.Constant):
        return ["Constant", *_constant(node.value)]
    if isinstance(node, ast.JoinedStr):
        return ["JoinedStr", _merged(node.values)]
    if isinstance(node, ast.AST):
        return [type(node).__name__, {name: normalised(value) for name, value in _fields(node) if _has_content(value)}]
    return node


def _fields(node: ast.AST) -> list[tuple[str, Any]]:
    return [(name, getattr(node, name, None)) for name in node._fields if name not in _SKIPPED]


def _has_content(value: Any) -> bool:
    return value is not None and value != []


def is_only_text(node: Any) -> bool:
    """Whether a statement is a text and nothing else: a docstring, or words where a comment might be."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _constant(value: Any) -> list[Any]:
    if isinstance(value, complex):
        return ["complex", value.real, value.imag]
    if value is ...:
        return ["ellipsis"]
    return ["value", value]


def _merged(parts: list[ast.expr]) -> list[Any]:
    """The parts of an f-string with neighbouring texts joined: 3.12 splits them in other places than 3.11."""
    merged: list[Any] = []
    for part in parts:
        text = part.value if isinstance(part, ast.Constant) else None
        if isinstance(text, str) and merged and isinstance(merged[-1], str):
            merged[-1] += text
        elif isinstance(text, str):
            merged.append(text)
        else:
            merged.append(normalised(part))
    return [part for part in merged if part != ""]
