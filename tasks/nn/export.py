"""A torch module as an ONNX graph."""

import logging

import numpy as np
import onnxruntime
import torch
from onnx import ModelProto
from onnxscript.optimizer import optimize_ir
from torch import nn

from storage.errors import ProcessFailed
from tasks.graphs.canonical import BATCH, INPUT, OUTPUT, TIME, fix_ends, strip
from tasks.nn.descriptions import Description

OPSET = 20
CHECKED_ROWS = 5
TOLERANCE = 1e-4  # of the greatest output
# A weight computed from others (an LSTM's gates in another order) is stored as the result, whatever its size in bytes.
NO_LIMIT = 1 << 40


def export(model: nn.Module, description: Description) -> ModelProto:
    """The module as a graph: input x (batch, *shape), output y (batch, K) logits or values, the batch free.

    A language model's is x (batch, time), y (batch, time, V) logits, the time free up to its context.

    Raises ProcessFailed where the graph does not answer as the module does.
    """
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns of every optional package that is absent
    logging.getLogger("onnxscript").setLevel(logging.ERROR)
    shape, kind = description["input"]["shape"], getattr(torch, description["input"]["dtype"])
    rows = torch.ones(2, *shape, dtype=kind)
    free, ends = {0: torch.export.Dim(BATCH)}, (description["outputs"],)
    if description["task"] == "language_model":
        free |= {1: torch.export.Dim(TIME, max=shape[0])}
        ends = (TIME, *ends)
    model = model.cpu().eval()
    program = torch.onnx.export(
        model,
        (rows,),
        dynamo=True,
        opset_version=OPSET,
        input_names=[INPUT],
        output_names=[OUTPUT],
        dynamic_shapes=(free,),
        verbose=False,
    )
    if program is None:
        raise RuntimeError("torch.onnx.export returned no program")
    if description["task"] != "language_model":  # whose table of tokens, turned round, is its head: stored once
        optimize_ir(program.model, input_size_limit=NO_LIMIT, output_size_limit=NO_LIMIT)
    graph = fix_ends(strip(program.model_proto), [TIME] if len(free) == 2 else shape, *ends)
    for size in [1, *shape] if len(free) == 2 else [None]:
        _check_agrees(model, graph, shape if size is None else [size], kind)
    return graph


def _check_agrees(model: nn.Module, graph: ModelProto, shape: list[int], kind: torch.dtype) -> None:
    """ProcessFailed unless the graph answers as the module does, on rows that say nothing of the data."""
    generator = torch.Generator().manual_seed(0)
    if kind.is_floating_point:
        rows = torch.randn(CHECKED_ROWS, *shape, generator=generator, dtype=kind)
    else:
        rows = torch.randint(0, 100, (CHECKED_ROWS, *shape), generator=generator, dtype=kind)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    with torch.no_grad():
        wanted_BK = model(rows).float().numpy()
    found_BK = np.asarray(session.run([OUTPUT], {INPUT: rows.numpy()})[0])
    difference, scale = float(np.abs(found_BK - wanted_BK).max()), float(np.abs(wanted_BK).max())
    if not difference <= TOLERANCE * max(1.0, scale):
        raise ProcessFailed(
            f"export: ONNX Runtime's outputs are up to {difference:.3g} from torch's (of up to {scale:.3g}), wanted {TOLERANCE:g}; "
            "this network cannot be exported as it is"
        )
