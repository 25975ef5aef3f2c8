"""A foreign graph with our ends: one input x (batch, …) float32 and one output y (batch, K) float32, in a form that does not depend on where
it was made. What is put before and behind it are operators that mean the same in every opset from 7 on. B batch, F features, K outputs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from tasks.graphs.canonical import INPUT, OUTPUT, every_graph, fix_ends, strip

UNKNOWN_TEXT = "(another)"  # stands for a category that the graph does not know
OURS = "served"  # what the names of our own values begin with


@dataclass(frozen=True)
class Feed:
    """One input of the foreign graph, from the places `start` to `stop` of x. `dtype`: numpy's name, or string.

    `texts`: of a string input, the text of each place but the last, which means any other. `axes`: how x's axes lie in it, for images;
    `flat`: it has one axis only.
    """

    name: str
    dtype: str
    start: int = 0
    stop: int = 0
    texts: tuple[str, ...] | None = None
    axes: tuple[int, ...] = ()
    flat: bool = False
    whole: bool = False  # all of x goes in


@dataclass(frozen=True)
class Ending:
    """What becomes of the foreign output `name` (B, `width`). `second`: of one number for two classes, how the first class's is made:
    probabilities or logits. `order`: the places of the outputs in y. `factor`: of a value; a power of two, so nothing is rounded."""

    name: str
    width: int
    second: str = ""
    order: tuple[int, ...] = ()
    factor: float = 1.0


def adapt(model: ModelProto, feeds: Sequence[Feed], ending: Ending, row: Sequence[int]) -> ModelProto:
    """The graph with our ends, for rows of shape `row`; `model` itself is left as it is."""
    adapted = ModelProto()
    adapted.CopyFrom(model)
    renamed = _set_aside(adapted, (INPUT, OUTPUT))
    front, back = _Nodes(adapted, "in"), _Nodes(adapted, "out")
    for feed in feeds:
        _feed(front, feed, renamed.get(feed.name, feed.name))
    _end(back, ending, renamed.get(ending.name, ending.name))
    inner = [
        node for node in adapted.graph.node if node.op_type != "ZipMap"
    ]  # its list of maps is nobody's output any more
    del adapted.graph.node[:]
    adapted.graph.node.extend([*front.made, *inner, *back.made])
    del adapted.graph.input[:], adapted.graph.output[:]
    for values, name in ((adapted.graph.input, INPUT), (adapted.graph.output, OUTPUT)):
        values.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    width = 2 if ending.second else ending.width
    return fix_ends(strip(adapted), list(row), width)


@dataclass
class _Nodes:
    """Nodes made one after the other, each giving a new name."""

    model: ModelProto
    prefix: str
    made: list[Any] = field(default_factory=list)

    def add(self, operator: str, *inputs: str, named: str = "", **attributes: Any) -> str:
        """A node of one output, which is its result."""
        name = named or f"{OURS}_{self.prefix}_{len(self.made)}"
        self.made.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def constant(self, value: np.ndarray) -> str:
        name = f"{OURS}_{self.prefix}_constant_{len(self.model.graph.initializer)}"
        self.model.graph.initializer.append(numpy_helper.from_array(value, name))
        return name


def _feed(nodes: _Nodes, feed: Feed, name: str) -> None:
    value = INPUT
    if not feed.whole:
        value = nodes.add("Gather", value, nodes.constant(np.arange(feed.start, feed.stop)), axis=1)
    if feed.axes:
        value = nodes.add("Transpose", value, perm=feed.axes)
    if feed.texts is not None:
        value = nodes.add("ArgMax", value, axis=1, keepdims=1)
        value = nodes.add("Gather", nodes.constant(np.array([*feed.texts, UNKNOWN_TEXT], dtype=object)), value, axis=0)
    elif feed.dtype != "float32":
        if feed.axes and np.dtype(feed.dtype).kind in "iu":
            value = nodes.add("Floor", nodes.add("Add", value, nodes.constant(np.array(0.5, np.float32))))
        value = nodes.add("Cast", value, to=helper.np_dtype_to_tensor_dtype(np.dtype(feed.dtype)))
    if feed.flat:
        nodes.add("Reshape", value, nodes.constant(np.array([-1])), named=name)
    else:
        nodes.add("Identity", value, named=name)


def _end(nodes: _Nodes, ending: Ending, name: str) -> None:
    value = nodes.add("Cast", name, to=TensorProto.FLOAT)
    value = nodes.add("Reshape", value, nodes.constant(np.array([-1, ending.width])))
    if ending.second == "probabilities":
        value = nodes.add("Concat", nodes.add("Sub", nodes.constant(np.ones((1, 1), np.float32)), value), value, axis=1)
    if ending.second == "logits":
        value = nodes.add("Concat", nodes.add("Sub", value, value), value, axis=1)
    if ending.order:
        value = nodes.add("Gather", value, nodes.constant(np.array(ending.order)), axis=1)
    if ending.factor != 1.0:
        value = nodes.add("Mul", value, nodes.constant(np.array(ending.factor, np.float32)))
    nodes.add("Identity", value, named=OUTPUT)


def _set_aside(model: ModelProto, names: Sequence[str]) -> Mapping[str, str]:
    """Give other names to the graph's own values of these names, and to what is called as ours will be; old name → new name."""
    graphs = list(every_graph(model.graph))
    taken = {name for graph in graphs for name in _names(graph)}
    renamed: dict[str, str] = {}
    for name in sorted(taken):
        if name in names or name.startswith(f"{OURS}_"):
            renamed[name] = next(f"own_{name}_{n}" for n in range(len(taken) + 1) if f"own_{name}_{n}" not in taken)
    for graph in graphs if renamed else ():
        for value in (*graph.input, *graph.output, *graph.initializer):
            value.name = renamed.get(value.name, value.name)
        for node in graph.node:
            node.input[:] = [renamed.get(value, value) for value in node.input]
            node.output[:] = [renamed.get(value, value) for value in node.output]
    return renamed


def _names(graph: Any) -> set[str]:
    found = {value.name for value in (*graph.input, *graph.output, *graph.initializer)}
    return found | {value for node in graph.node for value in (*node.input, *node.output)}
