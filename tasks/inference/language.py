"""What a language model needs to write texts down: bits of tokens, windows and texts. B windows, T tokens, V vocabulary."""

from typing import TYPE_CHECKING

import numpy as np

from tasks.inference.graphs import Graph

if TYPE_CHECKING:  # tokenizers is loaded only where there is text
    from tasks.transforms.tokens import TokenInput

LOGITS = 8_000_000  # held at a time: 32 MB


def next_logits(graph: Graph, x_BT: np.ndarray) -> np.ndarray:
    """(B, T, V) float32 logits of the token after each."""
    return np.asarray(graph.session.run(["y"], {"x": np.ascontiguousarray(x_BT, dtype=np.int32)})[0])


def window_bits(graph: Graph, vocabulary: int, x_BT: np.ndarray, y_BT: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(B,) bits of the targets in each window, and (B,) how many there are; a target below zero is none."""
    bits_B, counts_B = np.zeros(len(x_BT)), (y_BT >= 0).sum(axis=1)
    at_once = min(graph.chunk, max(1, LOGITS // (x_BT.shape[1] * vocabulary)))
    for start in range(0, len(x_BT), at_once):
        part = slice(start, start + at_once)
        bits_B[part] = _bits(next_logits(graph, x_BT[part]), np.asarray(y_BT[part])).sum(axis=1)
    return bits_B, counts_B


def row_bits(
    graph: Graph, vocabulary: int, x_WT: np.ndarray, y_WT: np.ndarray, rows_W: np.ndarray, rows: int
) -> np.ndarray:
    """(N, 2) bits and tokens of each row, from all its windows."""
    bits_W, counts_W = window_bits(graph, vocabulary, x_WT, y_WT)
    sums = [np.bincount(rows_W, weights=values, minlength=rows) for values in (bits_W, counts_W)]
    return np.stack(sums, axis=1)


def text_bits(graph: Graph, tokens: "TokenInput", x_BT: np.ndarray) -> np.ndarray:
    """(B, 1) bits per byte of the texts in features as `TokenInput.features` makes them."""
    y_BT = np.where(x_BT[:, 1:] == tokens.end, -1, x_BT[:, 1:])
    used = max(1, int((y_BT >= 0).sum(axis=1).max()))  # what lies right of all texts changes nothing before it
    bits_B, _ = window_bits(graph, tokens.vocabulary, x_BT[:, :used], y_BT[:, :used])
    bytes_B = np.where(y_BT >= 0, tokens.byte_counts[y_BT], 0).sum(axis=1)
    return (bits_B / np.maximum(bytes_B, 1)).astype(np.float32)[:, None]


def _bits(logits_BTV: np.ndarray, y_BT: np.ndarray) -> np.ndarray:
    """(B, T) −log₂ of the probability of each target; 0 where there is none. Works in the place of the logits."""
    with np.errstate(invalid="ignore"):  # a model that is broken gives NaN, which its score shows
        logits_BTV -= logits_BTV.max(axis=2, keepdims=True)
        chosen_BT = np.take_along_axis(logits_BTV, np.maximum(y_BT, 0)[:, :, None], axis=2)[:, :, 0]
        total_BT = np.exp(logits_BTV, out=logits_BTV).sum(axis=2, dtype=np.float64)
        nats_BT = np.log(total_BT) - chosen_BT
    return np.where(y_BT >= 0, nats_BT / np.log(2), 0.0)
