"""Rules between columns, evaluated over a whole table at once. What is not known (a value is missing) breaks no rule."""

import ast
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from storage.errors import ConfigError
from tasks.frames.arrow import pc
from tasks.sections.expressions import Expression, parse

COMPARE: dict[type, Callable[[Any, Any], Any]] = {
    ast.Eq: pc.equal,
    ast.NotEq: pc.not_equal,
    ast.Lt: pc.less,
    ast.LtE: pc.less_equal,
    ast.Gt: pc.greater,
    ast.GtE: pc.greater_equal,
}
COUNT: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: pc.add,
    ast.Sub: pc.subtract,
    ast.Mult: pc.multiply,
    ast.Div: pc.divide,
}


def broken(text: str, columns: dict[str, Any]) -> np.ndarray:
    """A mask of the rows for which the expression is false. `columns`: typed arrays by name.

    Arithmetic is that of 64-bit floats. ConfigError where a column is not there, or a text is counted with.
    """
    expression: Expression = parse(text)
    absent = [name for name in expression.columns if name not in columns]
    if absent:
        raise ConfigError(
            f"data.contract.rows: {text!r} names the column {absent[0]!r}, which is none of {', '.join(columns)}"
        )
    try:
        held = _value(expression.tree, columns)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
        told = " ".join(str(error).split())[:150]
        raise ConfigError(f"data.contract.rows: {text!r} does not fit its columns' types ({told})") from None
    return ~np.asarray(pc.fill_null(held, True).to_numpy(zero_copy_only=False), dtype=bool)


def _value(node: ast.expr, columns: dict[str, Any]) -> Any:
    if isinstance(node, ast.Name):
        return columns[node.id]
    if isinstance(node, ast.Constant):
        return pa.scalar(node.value)
    if isinstance(node, ast.BoolOp):
        join = pc.and_kleene if isinstance(node.op, ast.And) else pc.or_kleene
        first, *others = (_value(one, columns) for one in node.values)
        for other in others:
            first = join(first, other)
        return first
    if isinstance(node, ast.UnaryOp):
        value = _value(node.operand, columns)
        return pc.invert(value) if isinstance(node.op, ast.Not) else pc.negate(_number(value))
    if isinstance(node, ast.BinOp):
        return COUNT[type(node.op)](_number(_value(node.left, columns)), _number(_value(node.right, columns)))
    return _called(node, columns) if isinstance(node, ast.Call) else _compared(node, columns)


def _compared(node: Any, columns: dict[str, Any]) -> Any:
    """`a < b <= c` is `a < b and b <= c`."""
    left, held = _value(node.left, columns), None
    for operator, side in zip(node.ops, node.comparators, strict=True):
        if isinstance(operator, ast.In | ast.NotIn):
            one = _among(left, [constant.value for constant in side.elts])
            one = pc.invert(one) if isinstance(operator, ast.NotIn) else one
        else:
            right = _value(side, columns)
            one, left = COMPARE[type(operator)](*_alike(left, right)), right
        held = one if held is None else pc.and_kleene(held, one)
    return held


def _among(values: Any, wanted: list[Any]) -> Any:
    texts = pa.types.is_string(values.type)
    if any(isinstance(one, str) != texts for one in wanted):
        raise pa.ArrowTypeError(f"found {wanted} behind in, wanted {'texts' if texts else 'numbers'}")
    chosen = pa.array(wanted if texts else [float(one) for one in wanted], pa.string() if texts else pa.float64())
    known = values if texts else _number(values)
    return pc.if_else(pc.is_null(known), pa.scalar(None, pa.bool_()), pc.is_in(known, chosen))


def _called(node: ast.Call, columns: dict[str, Any]) -> Any:
    name = node.func.id  # pyright: ignore[reportAttributeAccessIssue]
    value = _value(node.args[0], columns)
    if name == "matches":
        return pc.match_substring_regex(value, f"^(?:{node.args[1].value})$")  # pyright: ignore[reportAttributeAccessIssue]
    return {"missing": pc.is_null, "length": pc.utf8_length, "lower": pc.utf8_lower, "abs": pc.abs}[name](value)


def _alike(left: Any, right: Any) -> tuple[Any, Any]:
    """Texts with texts; numbers with numbers, whole ones exactly."""
    texts = pa.types.is_string(left.type), pa.types.is_string(right.type)
    if texts[0] != texts[1]:
        raise pa.ArrowTypeError(f"found {left.type} beside {right.type}: a text and a number are not compared")
    if texts[0] or (pa.types.is_integer(left.type) and pa.types.is_integer(right.type)):
        return left, right
    return _number(left), _number(right)


def _number(value: Any) -> Any:
    if not (pa.types.is_integer(value.type) or pa.types.is_floating(value.type)):
        raise pa.ArrowTypeError(f"found {value.type}, wanted numbers")
    return value.cast(pa.float64(), safe=False)
