"""Tree ensembles with fewer trees."""

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, helper

from storage.errors import ConfigError

ENSEMBLES = {"TreeEnsembleClassifier", "TreeEnsembleRegressor"}


def truncate_trees(model: ModelProto, keep: int, averaged: bool) -> ModelProto:
    """`model` with the first `keep` trees of its ensemble.

    A boosted ensemble sums its trees on base values that stay; an `averaged` one has its mean's 1/n in the leaves, which
    becomes 1/keep.
    """
    copy = ModelProto()
    copy.CopyFrom(model)
    node = _ensemble(copy)
    values = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    prefix = "class" if node.op_type == "TreeEnsembleClassifier" else "target"
    trees = np.array(values["nodes_treeids"])
    scale = len(np.unique(trees)) / keep if averaged else 1.0
    stays = {"nodes_": trees < keep, f"{prefix}_": np.array(values[f"{prefix}_treeids"]) < keep}
    del node.attribute[:]
    for name, value in values.items():
        start = next((start for start in stays if name.startswith(start)), None)
        if start and isinstance(value, list | tuple | np.ndarray) and len(value) == len(stays[start]):
            value = [item for item, stay in zip(value, stays[start], strict=True) if stay]
        if name == f"{prefix}_weights":
            value = [float(np.float32(item * scale)) for item in value]
        node.attribute.append(helper.make_attribute(name, value))
    onnx.checker.check_model(copy)
    return copy


def _ensemble(model: ModelProto) -> NodeProto:
    nodes = [node for node in model.graph.node if node.op_type in ENSEMBLES]
    if len(nodes) != 1:
        raise ConfigError(f"truncate: found {len(nodes)} tree ensembles in the graph, wanted 1; use it on trees only")
    return nodes[0]
