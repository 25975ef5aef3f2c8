"""A torch module as an ONNX graph."""

import logging

import torch
from onnx import ModelProto
from torch import nn

from tasks.graphs.canonical import BATCH, INPUT, OUTPUT, fix_ends, strip
from tasks.nn.descriptions import Description

OPSET = 20


def export(model: nn.Module, description: Description) -> ModelProto:
    """The module as a graph: input x (batch, *shape), output y (batch, K) logits or values, the batch free."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns of every optional package that is absent
    logging.getLogger("onnxscript").setLevel(logging.ERROR)
    shape, kind = description["input"]["shape"], getattr(torch, description["input"]["dtype"])
    rows = torch.ones(2, *shape, dtype=kind)
    model = model.cpu().eval()
    program = torch.onnx.export(
        model,
        (rows,),
        dynamo=True,
        opset_version=OPSET,
        input_names=[INPUT],
        output_names=[OUTPUT],
        dynamic_shapes=({0: torch.export.Dim(BATCH)},),
        verbose=False,
    )
    if program is None:
        raise RuntimeError("torch.onnx.export returned no program")
    return fix_ends(strip(program.model_proto), shape, description["outputs"])
