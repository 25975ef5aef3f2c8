"""Latencies of models beside a baseline, measured in turns so that the machine's moods fall on all of them alike."""

import math
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime

from tasks.inference.sessions import open_session

BATCHES = (1, 32)
TURN_SECONDS = 0.002  # one turn: long against the clock's resolution, short against the machine's moods
BASELINE = ""


def measure(
    candidates: Mapping[str, Path], baseline: Path, rows: np.ndarray, rounds: int = 40
) -> dict[str, dict[str, dict[str, float]]]:
    """By candidate and batch (`b1`, `b32`): `latency_us`, and `ratio` = baseline's latency over the candidate's (>1: faster).

    `ratio` is the median over rounds, in each of which every model has one turn; `low` and `high` bound it at 95 %.
    """
    sessions = {BASELINE: open_session(baseline), **{name: open_session(path) for name, path in candidates.items()}}
    result: dict[str, dict[str, dict[str, float]]] = {name: {} for name in candidates}
    for batch in BATCHES:
        x = np.ascontiguousarray(rows[np.arange(batch) % len(rows)])
        seconds = _in_turns(sessions, x, rounds)
        for name in candidates:
            result[name][f"b{batch}"] = _compare(seconds[BASELINE], seconds[name])
    return result


def _in_turns(
    sessions: Mapping[str, onnxruntime.InferenceSession], x: np.ndarray, rounds: int
) -> dict[str, np.ndarray]:
    """Seconds a forward takes, by model and round; the order of turns rotates."""
    calls = {name: max(1, math.ceil(TURN_SECONDS / _turn(session, x, 3))) for name, session in sessions.items()}
    names, seconds = list(sessions), {name: np.empty(rounds) for name in sessions}
    for number in range(rounds):
        at = number % len(names)
        for name in names[at:] + names[:at]:
            seconds[name][number] = _turn(sessions[name], x, calls[name])
    return seconds


def _turn(session: onnxruntime.InferenceSession, x: np.ndarray, calls: int) -> float:
    """Seconds a forward, over `calls` forwards after one that brings the model back into the caches."""
    session.run(["y"], {"x": x})
    started = time.perf_counter()
    for _ in range(calls):
        session.run(["y"], {"x": x})
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
