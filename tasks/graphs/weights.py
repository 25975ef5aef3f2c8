"""int8 weights and nothing else: each is stored in a quarter of its bytes and restored to float32 before it is used.

No activation is rounded, so that an answer depends on no other row, and on no later token; the price is that nothing gets faster.
"""

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from storage.errors import ConfigError

LARGEST = 127
WEIGHED = {"Conv", "Gemm", "MatMul", "Gather", "Transpose"}  # Transpose: an embedding that is the head, too


def quantise_weights(model: ModelProto) -> ModelProto:
    """`model` with int8 weights, each channel with a scale of its own. ConfigError where there is no weight to quantise."""
    small = ModelProto()
    small.CopyFrom(model)
    axes = _axes(small)
    if not axes:
        raise ConfigError("quantise: found no weight matrix in the graph, wanted some; take the pass out")
    restored = [
        _replace(small, tensor, axes[tensor.name]) for tensor in list(small.graph.initializer) if tensor.name in axes
    ]
    nodes = list(small.graph.node)
    del small.graph.node[:]
    small.graph.node.extend([*restored, *nodes])
    return small


def _axes(model: ModelProto) -> dict[str, int]:
    """The axis of the output channels of each weight, by name."""
    matrices = {
        t.name: len(t.dims) for t in model.graph.initializer if t.data_type == TensorProto.FLOAT and len(t.dims) >= 2
    }
    axes: dict[str, int] = {}
    for node in model.graph.node:
        if node.op_type in WEIGHED:
            for place, name in enumerate(node.input):
                if name in matrices:
                    last = node.op_type == "MatMul" and place == 1
                    axes.setdefault(name, matrices[name] - 1 if last else 0)
    return axes


def _replace(model: ModelProto, tensor: TensorProto, axis: int) -> NodeProto:
    """Put the int8 weight and its scales in the place of `tensor`; the node that restores it."""
    weight = numpy_helper.to_array(tensor)
    largest = np.abs(weight).max(axis=tuple(place for place in range(weight.ndim) if place != axis))
    scales = np.where(largest > 0, largest / LARGEST, 1).astype(np.float32)
    shape = [-1 if place == axis else 1 for place in range(weight.ndim)]
    stored = np.clip(np.rint(weight / scales.reshape(shape)), -LARGEST, LARGEST).astype(np.int8)
    name = tensor.name
    tensor.CopyFrom(numpy_helper.from_array(stored, f"{name}.int8"))
    model.graph.initializer.append(numpy_helper.from_array(scales, f"{name}.scale"))
    return helper.make_node(
        "DequantizeLinear", [f"{name}.int8", f"{name}.scale"], [name], name=f"{name}.restored", axis=axis
    )
