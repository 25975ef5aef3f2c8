"""int8 weights, computed with in float: the model gets smaller, and a row's answer depends on no other row and on no calibration."""

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from storage.errors import ConfigError

LARGEST = 127
# Which inputs of a node are weights, and along which axis each has a scale of its own: an output, or a table's column
PLACES = {"MatMul": {1: -1}, "Conv": {1: 0}, "LSTM": {1: 1, 2: 1}, "Gather": {0: -1}}


def quantise_weights(model: ModelProto) -> ModelProto:
    """`model` with its matrices, kernels and tables as int8, each beside its scales (symmetric), and DequantizeLinear before use.

    Of a table, only the rows that were looked up are dequantised; one that is the head, too, is dequantised whole, a scale for each
    row, and serves both. ConfigError where there is no weight.
    """
    quantised = ModelProto()
    quantised.CopyFrom(model)
    graph = quantised.graph
    stored = {t.name: t for t in graph.initializer if t.data_type == TensorProto.FLOAT and len(t.dims) >= 2}
    tied = _tied(graph) & stored.keys()
    nodes: list[NodeProto] = []
    done = set(tied)
    for name in sorted(tied):
        graph.initializer.extend(_int8(stored[name], 0))
        nodes.append(_dequantised(f"{name}.int8", name, name, 0))
    for node in graph.node:
        after = []
        for position, axis in weight_inputs(node).items():
            name = node.input[position]
            if name not in stored or name in tied:
                continue
            if name not in done:
                graph.initializer.extend(_int8(stored[name], axis))
                done.add(name)
            if node.op_type == "Gather":
                node.input[position], made = f"{name}.int8", node.output[0]
                node.output[0] = f"{made}.int8"
                after.append(_dequantised(f"{made}.int8", name, made, axis))
            else:
                node.input[position] = made = f"{node.output[0]}.{name}"
                nodes.append(_dequantised(f"{name}.int8", name, made, axis))
        nodes += [node, *after]
    if not done:
        raise ConfigError("quantise: found no weight matrix in the graph, wanted some; take the pass out")
    del graph.node[:]
    graph.node.extend(nodes)
    for name in done:
        graph.initializer.remove(stored[name])
    onnx.checker.check_model(quantised)
    return quantised


def _tied(graph: GraphProto) -> set[str]:
    """The tables that are looked up and multiplied with, transposed: a language model's tokens in and out."""
    looked_up, turned = (
        {node.input[0] for node in graph.node if node.op_type == kind} for kind in ("Gather", "Transpose")
    )
    return looked_up & turned


def weight_inputs(node: NodeProto) -> dict[int, int]:
    """Which of a node's inputs are weights when they are stored, and along which axis each has scales."""
    if node.op_type != "Gemm":
        return PLACES.get(node.op_type, {})
    transposed = any(a.name == "transB" and a.i for a in node.attribute)
    return {1: 0 if transposed else 1}


def _int8(tensor: TensorProto, axis: int) -> tuple[TensorProto, TensorProto]:
    """The weights as int8, and a scale for each slice along `axis`."""
    weights = numpy_helper.to_array(tensor)
    others = tuple(dim for dim in range(weights.ndim) if dim != axis % weights.ndim)
    scales = np.abs(weights).max(others) / LARGEST
    scales = np.where(scales > 0, scales, 1).astype(np.float32)
    whole = np.rint(weights / np.expand_dims(scales, others)).astype(np.int8)
    return numpy_helper.from_array(whole, f"{tensor.name}.int8"), numpy_helper.from_array(
        scales, f"{tensor.name}.scales"
    )


def _dequantised(source: str, name: str, made: str, axis: int) -> NodeProto:
    return helper.make_node("DequantizeLinear", [source, f"{name}.scales"], [made], axis=axis)
