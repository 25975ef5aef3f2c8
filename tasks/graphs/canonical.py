"""ONNX graphs in one canonical form, so that the same model made in two folders has the same bytes."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, numpy_helper
from safetensors.numpy import save

INPUT, OUTPUT, BATCH, TIME = "x", "y", "batch", "time"


def strip(model: ModelProto) -> ModelProto:
    """`model` without doc strings, metadata, producer, unused operator sets and inferred shapes: none is needed to run it, and some hold paths."""
    for field in ("doc_string", "metadata_props", "producer_name", "producer_version", "domain", "model_version"):
        model.ClearField(field)  # pyright: ignore[reportArgumentType]
    for graph in every_graph(model.graph):
        for value in (graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
            value.ClearField("doc_string")
            value.ClearField("metadata_props")
        del graph.value_info[:]
    used = {node.domain for graph in every_graph(model.graph) for node in graph.node}
    opsets = sorted((opset.domain, opset.version) for opset in model.opset_import if opset.domain in used)
    del model.opset_import[:]
    for domain, version in opsets:
        model.opset_import.add(domain=domain, version=version)
    model.graph.name = "model"
    return model


def fix_ends(model: ModelProto, input_shape: Sequence[int | str], *outputs: int | str) -> ModelProto:
    """Declare input x (batch, *input_shape) and output y (batch, *outputs); the batch, and axes that bear a name, are free."""
    for value, shape in ((model.graph.input[0], input_shape), (model.graph.output[0], outputs)):
        tensor = value.type.tensor_type
        tensor.ClearField("shape")
        for size in (BATCH, *shape):
            tensor.shape.dim.add(**{"dim_param" if isinstance(size, str) else "dim_value": size})  # pyright: ignore
    return model


def to_bytes(model: ModelProto) -> bytes:
    """The canonical bytes of `model`, checked against the ONNX specification."""
    onnx.checker.check_model(model)
    return model.SerializeToString(deterministic=True)


def arrays(model: ModelProto) -> dict[str, np.ndarray]:
    """The graph's weights by name: its initialisers, and the number lists of classical nodes as `<node>.<attribute>`."""
    found = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    for index, node in enumerate(model.graph.node):
        for attribute in node.attribute:
            name = f"{node.name or f'{node.op_type}{index}'}.{attribute.name}"
            if attribute.floats:
                found[name] = np.array(attribute.floats, dtype=np.float32)
            elif attribute.ints and node.domain == "ai.onnx.ml":
                found[name] = np.array(attribute.ints, dtype=np.int64)
    return found


def save_arrays(named: Mapping[str, np.ndarray]) -> bytes:
    """Arrays as safetensors."""
    return save({name: np.ascontiguousarray(array) for name, array in named.items()})


def every_graph(graph: GraphProto) -> Iterator[GraphProto]:
    """The graph, and those within its nodes."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            inner: Iterable[GraphProto] = (
                [attribute.g, *attribute.graphs] if attribute.HasField("g") else attribute.graphs
            )
            for child in inner:
                yield from every_graph(child)
