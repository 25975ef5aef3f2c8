"""Pass quantise: int8 weights, in the exported graph."""

from dataclasses import replace

from tasks.graphs.quantise import quantise
from tasks.graphs.weights import quantise_weights
from tasks.nn.candidates import Candidate, Context
from tasks.sections import Quantise


def apply(candidate: Candidate, settings: Quantise, context: Context) -> Candidate:
    """The candidate's graph with int8 weights; static ranges come from training rows."""
    exported, graph = candidate.exported()
    if settings.mode == "weights":
        return replace(exported, graph=quantise_weights(graph))
    rows = context.calibration_rows(settings.calibration_rows)
    return replace(exported, graph=quantise(graph, settings.mode, rows))
