"""A fitted scikit-learn estimator as an ONNX graph with the project's one input and one output."""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import ModelProto, helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType

from tasks.graphs.canonical import INPUT, OUTPUT, fix_ends, strip

OPSETS = {"": 20, "ai.onnx.ml": 3}
PROBABILITIES = "probabilities"


def to_graph(estimator: Any, input_shape: Sequence[int], task: str, outputs: int) -> ModelProto:
    """The estimator as a graph: x (batch, *input_shape) float32 → y (batch, K) probabilities or (batch, 1) values."""
    _round_thresholds_down(estimator)
    classifies = task == "classification"
    options = {id(estimator): {"zipmap": False}} if classifies else None
    features: Any = [(INPUT, FloatTensorType([None, int(np.prod(input_shape))]))]
    graph: Any = to_onnx(estimator, initial_types=features, options=options, target_opset=OPSETS)
    _keep_one_output(graph, PROBABILITIES if classifies else graph.graph.output[0].name)
    if len(input_shape) > 1:
        _flatten_first(graph)
    return fix_ends(strip(graph), input_shape, outputs)


def _round_thresholds_down(estimator: Any) -> None:
    # Boosting splits float32 features at float64 midpoints; cast to nearest, a midpoint could rise to the value above it.
    # The greatest float32 that is not above the midpoint sends every float32 feature the same way.
    for predictor in (tree for trees in getattr(estimator, "_predictors", ()) for tree in trees):
        thresholds = predictor.nodes["num_threshold"]
        rounded = thresholds.astype(np.float32)
        above = rounded.astype(np.float64) > thresholds
        rounded[above] = np.nextafter(rounded[above], np.float32(-np.inf))
        predictor.nodes["num_threshold"] = rounded


def _keep_one_output(model: ModelProto, name: str) -> None:
    """Make `name` the only output, called y, and drop the nodes that only other outputs need."""
    graph = model.graph
    kept, wanted = [], {name}
    for node in reversed(graph.node):
        if wanted.intersection(node.output):
            wanted.update(node.input)
            kept.append(node)
    for node in kept:
        for index, output in enumerate(node.output):
            node.output[index] = OUTPUT if output == name else output
        for index, value in enumerate(node.input):
            node.input[index] = OUTPUT if value == name else value
    used = [tensor for tensor in graph.initializer if tensor.name in wanted]
    end = next(value for value in graph.output if value.name == name)
    end.name = OUTPUT
    _replace(graph.node, kept[::-1])
    _replace(graph.initializer, used)
    _replace(graph.output, [end])


def _replace(field: Any, messages: Sequence[Any]) -> None:
    copies = [copy.deepcopy(message) for message in messages]
    del field[:]
    field.extend(copies)


def _flatten_first(model: ModelProto) -> None:
    for node in model.graph.node:
        for index, value in enumerate(node.input):
            node.input[index] = "rows" if value == INPUT else value
    model.graph.node.insert(0, helper.make_node("Flatten", [INPUT], ["rows"], axis=1))
