"""How much work a graph is: multiply-accumulate operations for one row."""

import math
from collections.abc import Mapping, Sequence

import onnx
from onnx import ModelProto, NodeProto

Shapes = Mapping[str, Sequence[int]]
CONVOLUTIONS = {"Conv", "ConvInteger", "QLinearConv"}
PRODUCTS = {"Gemm", "MatMul", "MatMulInteger", "QLinearMatMul"}


def count_operations(model: ModelProto, row: Sequence[int]) -> int:
    """Multiply-accumulates of convolutions and matrix products for one row of shape `row`; for classical nodes, the numbers they hold.

    A tree ensemble counts its nodes, a linear or support vector node its coefficients.
    """
    shapes = _shapes(model, row)
    return sum(_node_operations(node, shapes) for node in model.graph.node)


def _node_operations(node: NodeProto, shapes: Shapes) -> int:
    if node.domain == "ai.onnx.ml":
        sizes = {a.name: len(a.floats) or len(a.ints) for a in node.attribute}
        return sizes.get("nodes_treeids") or sizes.get("coefficients", 0) + sizes.get("support_vectors", 0)
    if node.op_type in CONVOLUTIONS:
        weight = shapes[node.input[3 if node.op_type == "QLinearConv" else 1]]
        return math.prod(shapes[node.output[0]]) * math.prod(weight[1:])
    if node.op_type in PRODUCTS:
        return math.prod(shapes[node.output[0]]) * shapes[node.input[0]][_inner(node)]
    return 0


def _inner(node: NodeProto) -> int:
    transposed = any(a.name == "transA" and a.i for a in node.attribute)
    return 0 if transposed else -1


def _shapes(model: ModelProto, row: Sequence[int]) -> dict[str, list[int]]:
    one = ModelProto()
    one.CopyFrom(model)
    del one.graph.value_info[:]
    for dim, size in zip(one.graph.input[0].type.tensor_type.shape.dim, (1, *row), strict=False):
        dim.dim_value = size
    for value in one.graph.output:
        for dim in value.type.tensor_type.shape.dim:
            dim.ClearField("dim_param")
    inferred = onnx.shape_inference.infer_shapes(one, data_prop=True).graph
    values = (*inferred.input, *inferred.value_info, *inferred.output)
    shapes = {value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in values}
    return shapes | {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
