"""Latencies of models beside a baseline, measured in turns so that the machine's moods fall on all of them alike."""

import math
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tasks.inference.graphs import Graph, open_graph

BATCHES = (1, 32)
TURN_SECONDS = 0.002  # one turn: long against the clock's resolution, short against the machine's moods
BUDGET_SECONDS = 15.0  # for one batch size: long forwards, as a language model's, have fewer rounds …
FEWEST_ROUNDS = 12  # … but as many as bound a median
LONG_SECONDS = 0.02  # such a forward brings the model into the caches by itself
BASELINE = ""


def measure(
    candidates: Mapping[str, Path], baseline: Path, rows: np.ndarray, rounds: int = 40
) -> dict[str, dict[str, dict[str, float]]]:
    """By candidate and batch (`b1`, `b32`): `latency_us`, and `ratio` = baseline's latency over the candidate's (>1: faster).

    `ratio` is the median over rounds, in each of which every model has one turn; `low` and `high` bound it at 95 %.
    """
    graphs = {BASELINE: open_graph(baseline), **{name: open_graph(path) for name, path in candidates.items()}}
    result: dict[str, dict[str, dict[str, float]]] = {name: {} for name in candidates}
    for batch in BATCHES:
        x = np.ascontiguousarray(rows[np.arange(batch) % len(rows)])
        seconds = _in_turns(graphs, x, rounds)
        for name in candidates:
            result[name][f"b{batch}"] = _compare(seconds[BASELINE], seconds[name])
    return result


def _in_turns(graphs: Mapping[str, Graph], x: np.ndarray, rounds: int) -> dict[str, np.ndarray]:
    """Seconds a forward takes, by model and round; the order of turns rotates."""
    first = {name: _turn(graph, x, 1) for name, graph in graphs.items()}
    calls = {name: max(1, math.ceil(TURN_SECONDS / seconds)) for name, seconds in first.items()}
    warm = {name: seconds < LONG_SECONDS for name, seconds in first.items()}
    whole = sum(seconds * (calls[name] + warm[name]) for name, seconds in first.items())
    rounds = min(rounds, max(FEWEST_ROUNDS, int(BUDGET_SECONDS / whole)))
    names, seconds = list(graphs), {name: np.empty(rounds) for name in graphs}
    for number in range(rounds):
        at = number % len(names)
        for name in names[at:] + names[:at]:
            seconds[name][number] = _turn(graphs[name], x, calls[name], warm[name])
    return seconds


def _turn(graph: Graph, x: np.ndarray, calls: int, warm: bool = True) -> float:
    """Seconds a forward, over `calls` forwards, after one that brings the model back into the caches where it is to be `warm`."""
    if warm:
        graph.run(x)
    started = time.perf_counter()
    for _ in range(calls):
        graph.run(x)
    return (time.perf_counter() - started) / calls


def _compare(baseline: np.ndarray, candidate: np.ndarray) -> dict[str, float]:
    ratios = np.sort(baseline / candidate)
    # Order statistics that bound the median at 95 %, whatever the distribution: Conover 1999 §3.2, normal approximation
    reach = 0.98 * math.sqrt(len(ratios))
    low = max(0, math.floor(len(ratios) / 2 - reach))
    high = min(len(ratios) - 1, math.ceil(len(ratios) / 2 + reach))
    return {
        "ratio": float(np.median(ratios)),
        "low": float(ratios[low]),
        "high": float(ratios[high]),
        "latency_us": float(np.median(candidate) * 1e6),
    }
