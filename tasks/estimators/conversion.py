"""A fitted scikit-learn estimator as an ONNX graph with the project's one input and one output."""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper
from onnxruntime import InferenceSession
from skl2onnx import to_onnx
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, StringTensorType

from storage.errors import ConfigError
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


def convert(
    estimator: Any, columns: Sequence[str], are_texts: Sequence[bool], has_names: bool, task: str
) -> ModelProto:
    """A fitted estimator or pipeline as a graph that gives labels and probabilities, or values: of one input (rows, F), or, where it
    has columns of texts or takes its columns by name, an input a column. ConfigError where skl2onnx has no way."""
    for part in _parts(estimator):
        _round_thresholds_down(part)
    options = {id(estimator): {"zipmap": False}} if task == "classification" else None
    reason = ""
    # float64 first: scikit-learn scales and compares in it, and a row that lies on a tree's threshold goes another way in float32
    for number in (DoubleTensorType, FloatTensorType):
        together: Any = [(INPUT, number([None, len(columns)]))]
        apart: Any = [
            (name, (StringTensorType if text else number)([None, 1]))
            for name, text in zip(columns, are_texts, strict=True)
        ]
        for way in [apart] if any(are_texts) else [together, *([apart] if has_names else [])]:
            try:
                graph: Any = to_onnx(estimator, initial_types=way, options=options, target_opset=OPSETS)
                if any(hasattr(part, "tree_") for part in _parts(estimator)):
                    _cast_before_trees(graph)
                InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
                return graph
            except Exception as error:  # noqa: BLE001  both have errors of many kinds, RuntimeError and NameError among them
                reason = reason or f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    raise ConfigError(f"the model: skl2onnx cannot convert it ({reason}); import it as ONNX, or leave that part out")


def _parts(estimator: Any) -> list[Any]:
    """The estimator, and those within it: steps of a pipeline, trees of a forest."""
    inner = [step for _, step in getattr(estimator, "steps", ())]
    for one in getattr(estimator, "estimators_", ()):
        inner += list(one) if isinstance(one, np.ndarray) else [one]  # boosting has a row of trees for each stage
    return [estimator, *(part for one in inner for part in _parts(one))]


def _round_thresholds_down(estimator: Any) -> None:
    # Trees split float32 features at float64 midpoints; cast to nearest, a midpoint could rise to the value above it.
    # The greatest float32 that is not above the midpoint sends every float32 feature the same way.
    for predictor in (tree for trees in getattr(estimator, "_predictors", ()) for tree in trees):
        predictor.nodes["num_threshold"] = _rounded_down(predictor.nodes["num_threshold"])
    if hasattr(estimator, "tree_"):
        estimator.tree_.threshold[:] = _rounded_down(estimator.tree_.threshold)


def _cast_before_trees(model: ModelProto) -> None:
    """Have scikit-learn's trees get float32, as it gives them, also where what comes before is computed in float64."""
    nodes = list(model.graph.node)
    for node in [node for node in nodes if node.op_type.startswith("TreeEnsemble")]:
        cast = helper.make_node(
            "Cast", [node.input[0]], [f"{node.input[0]}_as_float32_{len(nodes)}"], to=TensorProto.FLOAT
        )
        node.input[0] = cast.output[0]
        nodes.insert(nodes.index(node), cast)
    _replace(model.graph.node, nodes)


def _rounded_down(thresholds: np.ndarray) -> np.ndarray:
    rounded = thresholds.astype(np.float32)
    above = rounded.astype(np.float64) > thresholds
    rounded[above] = np.nextafter(rounded[above], np.float32(-np.inf))
    return rounded


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
