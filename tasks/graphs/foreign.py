"""ONNX graphs that others made: what they are and take and give, read from the graph itself; nothing of them runs here."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from onnx import GraphProto, ModelProto, NodeProto, SparseTensorProto, TensorProto, helper, inliner, numpy_helper
from onnx.checker import ValidationError

from storage.errors import CorruptArtifact, Untrusted
from tasks.graphs.canonical import every_graph

DOMAINS = {"", "ai.onnx", "ai.onnx.ml", "com.microsoft"}  # what ONNX Runtime has operators for by itself
OLDEST_OPSET, LEAST_IR = 7, 8
CATEGORIES = ("cats_strings", "keys_strings")
ELSEWHERE = TensorProto.EXTERNAL
JOIN = 'onnx.save_model(onnx.load("model.onnx"), "whole.onnx"), or torch.onnx.export(…, external_data=False)'


@dataclass(frozen=True)
class End:
    """An input or output. `dtype`: numpy's name, or `string`; empty for what is no tensor. `shape`: None where an axis is free."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]

    def __str__(self) -> str:
        sizes = ", ".join("*" if size is None else str(size) for size in self.shape)
        return f"{self.name} {self.dtype or 'list of maps'} ({sizes})"


def open_foreign(data: bytes, name: str) -> ModelProto:
    """The graph in the file `name` with its local functions written out. Untrusted where weights lie in other files; CorruptArtifact for what is no
    whole graph, and for operators that ONNX Runtime does not have."""
    model = ModelProto()
    try:
        model.ParseFromString(data)
        if model.functions:
            model = inliner.inline_local_functions(model)
    except (DecodeError, ValidationError) as error:
        reason = " ".join(str(error).split())[:300]
        raise CorruptArtifact(f"{name}: no whole ONNX graph: {reason}; export it again") from None
    for tensor in _tensors(model):
        if tensor.data_location == ELSEWHERE:
            raise Untrusted(
                f"{name}: tensor {tensor.name!r} lies in another file, wanted all weights in one: other files are not read. Write it with {JOIN}"
            )
    strange = sorted({f"{n.domain}.{n.op_type}" for n in _nodes(model.graph) if n.domain not in DOMAINS})
    if strange:
        raise CorruptArtifact(
            f"{name}: found the operators {', '.join(strange[:4])}, wanted ONNX's own: ONNX Runtime has no others; export it without custom operators"
        )
    opset = opset_of(model)
    if opset < OLDEST_OPSET:
        raise CorruptArtifact(
            f"{name}: found opset {opset}, wanted {OLDEST_OPSET} or later; export it again with a newer one"
        )
    model.ir_version = max(model.ir_version, LEAST_IR)  # before 4, weights were inputs too
    weights = {tensor.name for tensor in model.graph.initializer}
    for value in [value for value in model.graph.input if value.name in weights]:
        model.graph.input.remove(value)
    return model


def opset_of(model: ModelProto) -> int:
    """The version of ONNX's own operators; of a graph that has only others, one that suits ours."""
    found = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    if not found:
        model.opset_import.add(domain="", version=17)
        return 17
    return found[0]


def ends(values: Any) -> list[End]:
    """What the graph's inputs or outputs are."""
    return [_end(value) for value in values]


def facts(model: ModelProto, size: int) -> dict[str, Any]:
    """What a person wants to know of a graph: plain JSON values. `size`: of its file in bytes."""
    operators = Counter(node.op_type for node in _nodes(model.graph))
    return {
        "bytes": size,
        "parameters": _parameters(model),
        "opset": opset_of(model),
        "operators": dict(sorted(operators.items(), key=lambda entry: (-entry[1], entry[0]))),
        "inputs": [str(end) for end in ends(model.graph.input)],
        "outputs": [str(end) for end in ends(model.graph.output)],
        "producer": " ".join(part for part in (model.producer_name, model.producer_version) if part),
    }


def class_labels(model: ModelProto, count: int) -> list[tuple[str, ...]]:
    """What may be the names of `count` classes in the order of the outputs: lists of so many labels in the graph, the likeliest first."""
    found = []
    for node in [*model.graph.node][::-1]:
        for attribute in node.attribute:
            if attribute.name.startswith("classlabels"):
                found.append(tuple(value.decode() for value in attribute.strings) or tuple(map(str, attribute.ints)))
    for tensor in model.graph.initializer:
        if tensor.data_type in (TensorProto.STRING, TensorProto.INT64, TensorProto.INT32):
            found.append(tuple(_strings(tensor)))
    return [labels for labels in found if len(labels) == count == len(set(labels))]


def known_texts(model: ModelProto) -> tuple[str, ...]:
    """All texts that the graph compares with: the categories that it knows."""
    found: set[str] = set()
    for node in _nodes(model.graph):
        for attribute in node.attribute:
            if attribute.name in CATEGORIES:
                found.update(value.decode() for value in attribute.strings)
            if attribute.HasField("t") and attribute.t.data_type == TensorProto.STRING:
                found.update(_strings(attribute.t))
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.STRING:
            found.update(_strings(tensor))
    return tuple(sorted(found - {""}))


def zip_map(model: ModelProto, output: str) -> tuple[str, tuple[str, ...]]:
    """The probabilities behind an output that is a list of maps (skl2onnx makes one), and the classes; both empty where it is none."""
    for node in model.graph.node:
        if node.op_type == "ZipMap" and output in node.output:
            labels = helper.get_node_attr_value(node, node.attribute[0].name)
            return node.input[0], tuple(value.decode() if isinstance(value, bytes) else str(value) for value in labels)
    return "", ()


def _strings(tensor: TensorProto) -> list[str]:
    return [value.decode() if isinstance(value, bytes) else str(value) for value in numpy_helper.to_array(tensor).flat]


def _end(value: Any) -> End:
    if not value.type.HasField("tensor_type"):
        return End(value.name, "", ())
    tensor = value.type.tensor_type
    dtype = (
        "string"
        if tensor.elem_type == TensorProto.STRING
        else np.dtype(helper.tensor_dtype_to_np_dtype(tensor.elem_type)).name
    )
    shape = tuple(
        dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else None for dim in tensor.shape.dim
    )
    return End(value.name, dtype, shape)


def _parameters(model: ModelProto) -> int:
    """Numbers in weights, and in the lists of classical nodes."""
    weights = sum(int(np.prod(tensor.dims)) for tensor in _tensors(model))
    return weights + sum(
        len(attribute.floats)
        for node in _nodes(model.graph)
        if node.domain == "ai.onnx.ml"
        for attribute in node.attribute
    )


def _nodes(graph: GraphProto) -> Iterator[NodeProto]:
    return (node for inner in every_graph(graph) for node in inner.node)


def _tensors(model: ModelProto) -> Iterator[TensorProto]:
    """Every tensor that the model holds: weights and constants, those of inner graphs too."""
    for graph in every_graph(model.graph):
        yield from graph.initializer
        yield from _dense(graph.sparse_initializer)
    for node in _nodes(model.graph):
        yield from _constants(node)


def _constants(node: NodeProto) -> Iterator[TensorProto]:
    for attribute in node.attribute:
        if attribute.HasField("t"):
            yield attribute.t
        yield from attribute.tensors
        yield from _dense([attribute.sparse_tensor, *attribute.sparse_tensors])


def _dense(sparse: Iterable[SparseTensorProto]) -> Iterator[TensorProto]:
    """The tensors that they are made of, which may lie in other files like any other."""
    return (part for tensor in sparse for part in (tensor.values, tensor.indices))
