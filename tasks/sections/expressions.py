"""The language of rules between columns: comparisons, arithmetic, `and`, `or`, `not`, and a few functions. Parsed, never run as Python.

    start <= end and length(title) > 3 and `education num` in (9, 10)

A name that is no word stands in backticks. Functions: `missing(x)`, `length(text)`, `abs(x)`, `lower(text)`, `matches(text, 'RE2 pattern')`.
"""

import ast
import re
from dataclasses import dataclass

FUNCTIONS = {"missing": 1, "length": 1, "abs": 1, "lower": 1, "matches": 2}
OPERATORS = (
    ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.In, ast.NotIn,
    ast.Add, ast.Sub, ast.Mult, ast.Div, ast.USub, ast.Not, ast.And, ast.Or,
)  # fmt: skip
SHAPES = (ast.BoolOp, ast.UnaryOp, ast.BinOp, ast.Compare, ast.Name, ast.Load)
TICKED = re.compile(r"""('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")|`([^`]+)`""")
HIDDEN = "_ticked_"
LANGUAGE = "wanted columns, numbers, texts, + - * /, comparisons, in (…), and, or, not, " + ", ".join(
    f"{name}(…)" for name in FUNCTIONS
)


@dataclass(frozen=True)
class Expression:
    """`tree`: of nodes of the language alone; `columns`: the names in it, in order."""

    tree: ast.expr
    columns: tuple[str, ...]


def parse(text: str) -> Expression:
    """The expression; ValueError where it is none of this language, or names no column."""
    ticked: list[str] = []

    def hide(found: re.Match[str]) -> str:
        if found[1]:
            return found[1]
        ticked.append(found[2])
        return f"{HIDDEN}{len(ticked) - 1}"

    try:
        tree = ast.parse(TICKED.sub(hide, text).strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"{text!r} cannot be read ({getattr(error, 'msg', error)}); {LANGUAGE}") from None
    columns: dict[str, None] = {}
    _walk(tree, text, ticked, columns)
    if not columns:
        raise ValueError(f"{text!r} names no column; {LANGUAGE}")
    if not _is_truth(tree):
        raise ValueError(f"{text!r} is neither true nor false; {LANGUAGE}")
    return Expression(tree, tuple(columns))


def _walk(node: ast.AST, text: str, ticked: list[str], columns: dict[str, None]) -> None:
    """Refuse what is not of the language; give names in backticks back."""
    if isinstance(node, ast.Name):
        if node.id.startswith(HIDDEN):
            node.id = ticked[int(node.id.removeprefix(HIDDEN))]
        columns[node.id] = None
        return
    if isinstance(node, ast.Constant):
        if type(node.value) not in (int, float, str) or (type(node.value) is int and abs(node.value) >= 1 << 63):
            raise ValueError(f"{text!r}: found {node.value!r}, wanted a number or a text")
        return
    if isinstance(node, ast.Call):
        for argument in _arguments(node, text):
            _walk(argument, text, ticked, columns)
        return
    if isinstance(node, ast.Compare):
        _check_lists(node, text)
    elif not isinstance(node, (*SHAPES, *OPERATORS, ast.Tuple, ast.List)):
        raise ValueError(f"{text!r}: found {type(node).__name__}, which is not part of it; {LANGUAGE}")
    for child in ast.iter_child_nodes(node):
        _walk(child, text, ticked, columns)


def _arguments(node: ast.Call, text: str) -> list[ast.expr]:
    name = node.func.id if isinstance(node.func, ast.Name) else ""
    if name not in FUNCTIONS or len(node.args) != FUNCTIONS[name] or node.keywords:
        raise ValueError(f"{text!r}: found a call of {ast.unparse(node)}; {LANGUAGE}")
    if name == "matches" and not (isinstance(node.args[1], ast.Constant) and isinstance(node.args[1].value, str)):
        raise ValueError(f"{text!r}: wanted a pattern in quotes as the second argument of matches")
    return node.args


def _check_lists(node: ast.Compare, text: str) -> None:
    """A list stands behind `in`, and nowhere else."""
    for operator, side in zip(node.ops, node.comparators, strict=True):
        values = side.elts if isinstance(side, ast.Tuple | ast.List) else None
        if isinstance(operator, ast.In | ast.NotIn):
            if not values or not all(isinstance(one, ast.Constant) for one in values):
                raise ValueError(f"{text!r}: wanted a list of constants behind in, as in colour in ('red', 'blue')")
        elif values is not None:
            raise ValueError(f"{text!r}: found a list where a value is wanted")
    if isinstance(node.left, ast.Tuple | ast.List):
        raise ValueError(f"{text!r}: found a list where a value is wanted")


def _is_truth(node: ast.expr) -> bool:
    """Whether it is true or false, and so is each side of `and`, `or` and `not` in it."""
    if isinstance(node, ast.BoolOp):
        return all(map(_is_truth, node.values))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return _is_truth(node.operand)
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id in ("missing", "matches")
    return isinstance(node, ast.Compare)
