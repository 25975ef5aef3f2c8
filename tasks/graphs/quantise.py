"""int8: of weights only, or with ONNX Runtime dynamic (activations at run time) or static (both, ranges from calibration rows)."""

import contextlib
import copy
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, TensorProto
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from storage.errors import ConfigError
from tasks.graphs.canonical import INPUT, OUTPUT, strip
from tasks.graphs.weights import quantise_weights, weight_inputs

CALIBRATION_BATCH = 64
# int8 units multiply four channels at a time: a convolution over fewer (an image's own) is slower in int8 than in float,
# five times at one channel, and has hardly any weights to save.
LEAST_CHANNELS = 4
FOLLOWERS = {"Relu", "MaxPool"}


def quantise(model: ModelProto, mode: str, rows: np.ndarray) -> ModelProto:
    """`model` with int8 weights; `rows` are features that set the static ranges.

    7 of the 8 bits are used: processors without VNNI add two products in 16 bits, which would saturate, and answer otherwise
    than those with it. Raises ConfigError when a weight stayed as it was or the weights did not shrink.
    """
    with tempfile.TemporaryDirectory() as folder, _quiet():
        prepared, path = _prepared(model, Path(folder)), Path(folder) / "int8.onnx"
        if mode == "weights":
            return strip(_checked(prepared, quantise_weights(prepared), thin=[]))
        thin = _thin_convolutions(prepared)
        _pool_first(prepared, thin)
        before = copy.deepcopy(prepared)  # the quantisers work in place
        weights = {"weight_type": QuantType.QInt8, "per_channel": True, "reduce_range": True, "nodes_to_exclude": thin}
        if mode == "dynamic":
            quantize_dynamic(prepared, path, **weights)
        else:
            ranges = {"calibrate_method": CalibrationMethod.MinMax, "activation_type": QuantType.QUInt8}
            quantize_static(prepared, path, _Rows(rows), quant_format=QuantFormat.QDQ, **ranges, **weights)
        return strip(_checked(before, _float_output(onnx.load(path)), thin))


def _prepared(model: ModelProto, folder: Path) -> ModelProto:
    """`model` with batch norms folded, without inferred shapes."""
    path = folder / "float.onnx"
    onnx.save(_without_inferred_shapes(model), path)
    quant_pre_process(path, path, skip_symbolic_shape=True)
    return _without_inferred_shapes(onnx.load(path))


def _float_output(model: ModelProto) -> ModelProto:
    """`model` without the rounding of its very output to int8 and back, which costs a node and the logits' last digits."""
    made = {name: node for node in model.graph.node for name in node.output}
    back = made[OUTPUT]
    there = made.get(back.input[0])
    if back.op_type == "DequantizeLinear" and there is not None and there.op_type == "QuantizeLinear":
        made[there.input[0]].output[0] = OUTPUT
        model.graph.node.remove(there)
        model.graph.node.remove(back)
        used = {name for node in model.graph.node for name in node.input}
        for tensor in [tensor for tensor in model.graph.initializer if tensor.name not in used]:
            model.graph.initializer.remove(tensor)
    return model


class _Rows(CalibrationDataReader):
    def __init__(self, rows: np.ndarray) -> None:
        self.batches = iter(np.array_split(rows, -(-len(rows) // CALIBRATION_BATCH)))

    def get_next(self) -> dict[str, np.ndarray] | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        batch = next(self.batches, None)
        return None if batch is None else {INPUT: batch}


def _checked(before: ModelProto, after: ModelProto, thin: list[str]) -> ModelProto:
    wanted, found = _weights(before, thin), _int8_weights(after)
    if len(found) < len(wanted):
        raise ConfigError(
            f"quantise: found {len(found)} int8 weights, wanted {len(wanted)} ({', '.join(wanted)}); take the mode 'weights', or the pass out"
        )
    old, new = _weight_bytes(before), _weight_bytes(after)
    if new >= old:
        raise ConfigError(
            f"quantise: found {new} bytes of weights, wanted fewer than {old}; the model is too small, take the pass out"
        )
    return after


def _weights(model: ModelProto, thin: list[str]) -> list[str]:
    stored = {t.name for t in model.graph.initializer if t.data_type == TensorProto.FLOAT and len(t.dims) >= 2}
    nodes = [node for node in model.graph.node if node.name not in thin]
    used = [node.input[position] for node in nodes for position in weight_inputs(node)]
    return sorted(stored.intersection(used))


def _thin_convolutions(model: ModelProto) -> list[str]:
    """Names of convolutions over few channels, and of the pooling on their outputs: int8 pooling is fast only after int8."""
    dims = {tensor.name: tensor.dims for tensor in model.graph.initializer}
    reached: set[str] = set()
    names = []
    for node in model.graph.node:  # in topological order
        thin = node.op_type == "Conv" and node.input[1] in dims and dims[node.input[1]][1] < LEAST_CHANNELS
        if thin or (node.op_type in FOLLOWERS and node.input[0] in reached):
            reached.update(node.output)
            names.append(node.name)
    return names


def _pool_first(model: ModelProto, names: list[str]) -> None:
    """Swap ReLU and the max pooling after it, which commute, in the nodes named.

    ONNX Runtime moves a quantisation up through pooling, which would then run in int8 at a tenth of its speed; not past a ReLU.
    """
    nodes = [node for node in model.graph.node if node.name in names]
    for first in nodes:
        followers = [node for node in nodes if first.output[0] in node.input]
        if first.op_type != "Relu" or [node.op_type for node in followers] != ["MaxPool"]:
            continue
        pool = followers[0]
        first.attribute.extend(pool.attribute)
        del pool.attribute[:]
        first.op_type, pool.op_type = pool.op_type, first.op_type


def _int8_weights(model: ModelProto) -> list[str]:
    kinds = (TensorProto.INT8, TensorProto.UINT8)
    return sorted(t.name for t in model.graph.initializer if t.data_type in kinds and len(t.dims) >= 2)


def _weight_bytes(model: ModelProto) -> int:
    return sum(tensor.ByteSize() for tensor in model.graph.initializer)


def _without_inferred_shapes(model: ModelProto) -> ModelProto:
    # Shapes that the exporter inferred contradict the transposed weights which quantize_dynamic makes of a Gemm.
    bare = ModelProto()
    bare.CopyFrom(model)
    del bare.graph.value_info[:]
    return bare


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)
