"""A language model's figures from what each passage costs it. N passages, R resamples.

Outputs are (N, 2): bits and tokens of each passage. Targets are (N, 2): its bytes and words, which depend on no tokenizer, so that models
with different ones are compared passage by passage. A word is what stands between white space, and each end of a line counts as
one, as in the published word-level perplexities of WikiText (Merity 2016), which a model of bytes meets from above: it also
gives probability to what is no word.
"""

import numpy as np

from tasks.scoring.statistics import resampled_means

BROKEN_BITS = 64.0  # a byte, for a passage whose bits are no number


def bits(y: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """(N,) bits of each passage; one that is no finite number counts 64 bits for each byte."""
    return np.where(np.isfinite(outputs[:, 0]), outputs[:, 0], BROKEN_BITS * y[:, 0]).astype(np.float64)


def text_metrics(
    y: np.ndarray, outputs: np.ndarray, resamples: int, seed: int
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Bits per byte, and perplexity of tokens and words: of all passages, and (R,) of resampled ones."""
    columns = np.stack([bits(y, outputs), y[:, 0], np.maximum(outputs[:, 1], 1), np.maximum(y[:, 1], 1)], axis=1)
    everything = _ratios(columns.mean(axis=0)[None, :])
    return {name: float(value[0]) for name, value in everything.items()}, _ratios(
        resampled_means(columns, resamples, seed)
    )


def _ratios(means: np.ndarray) -> dict[str, np.ndarray]:
    """Columns of `means` (R, 4): bits, bytes, tokens, words."""
    spent, size, tokens, words = means.T
    return {
        "bits_per_byte": spent / size,
        "perplexity": np.exp2(np.minimum(spent / tokens, 1000)),
        "word_perplexity": np.exp2(np.minimum(spent / words, 1000)),
    }
