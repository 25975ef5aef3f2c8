"""Bits per byte and perplexity: by hand; models with different tokenizers compared passage by passage; the gate's words."""

from pathlib import Path

import numpy as np
import pytest
from handmade_lm import CIRCLE, bigram_model, circle, lm_files, lm_predictor, tokenizer_json, tokens_of

from storage.errors import ConfigError
from tasks.inference.language import row_bits
from tasks.inference.predictor import Predictor
from tasks.scoring.comparison import compare
from tasks.scoring.gate import decide
from tasks.scoring.metrics import score
from tasks.sections import EvaluateSection
from tasks.transforms.windows import row_windows

HOW = {"confidence": 0.95, "resamples": 500, "seed": 0}


def section(metric: str = "bits_per_byte", **more: object) -> EvaluateSection:
    return EvaluateSection.model_validate({"metric": metric, "margin": 0.05, "resamples": 500, **more})


def passages(rows: int = 200) -> np.ndarray:
    """Bytes and words."""
    return np.stack([np.arange(rows) % 50 + 100, np.arange(rows) % 7 + 20], axis=1)


def test_three_passages_by_hand() -> None:
    y = np.array([[10, 2], [20, 3], [10, 5]])
    outputs = np.array([[30.0, 4], [20.0, 6], [30.0, 10]])
    metrics = score("language_model", None, y, outputs, **HOW).metrics  # pyright: ignore
    assert metrics["bits_per_byte"]["value"] == 2.0  # 80 bits, 40 bytes
    assert metrics["perplexity"]["value"] == 16.0  # 20 tokens
    assert metrics["word_perplexity"]["value"] == 256.0  # 10 words and line ends
    assert metrics["bits_per_byte"]["low"] >= 1.0
    assert metrics["bits_per_byte"]["high"] <= 3.0


def test_a_passage_without_a_finite_answer_counts_as_very_bad_and_is_told() -> None:
    scores = score("language_model", None, passages(3), np.array([[9.0, 3], [np.nan, 3], [9.0, 3]]), **HOW)  # pyright: ignore
    assert scores.metrics["bits_per_byte"]["value"] > 20
    assert "1 of 3 rows" in scores.notes[0]


def test_a_candidate_that_needs_a_tenth_of_a_bit_more_is_rejected_and_one_that_needs_less_promoted() -> None:
    y = passages()
    teacher = np.stack([2.0 * y[:, 0], y[:, 0] / 3], axis=1)
    worse, better = teacher * [1.05, 1], teacher * [0.99, 1]
    for candidate, decision, words in (
        (
            worse,
            "reject",
            "bits per byte 2.100 against the uncompressed model's 2.000: at least 0.1 bits per byte higher",
        ),
        (better, "promote", "bits per byte 1.980 against the uncompressed model's 2.000: at worst"),
    ):
        scored = score("language_model", None, y, candidate, **HOW).metrics["bits_per_byte"]  # pyright: ignore
        verdict = decide(section(), y, candidate, teacher, scored=scored)
        assert verdict.decision == decision
        assert words in verdict.reasons[0]
    scored = {"value": 1.98, "low": 1.9, "high": 2.0}
    assert decide(section(minimum=1.9), y, better, teacher, scored=scored).reasons[0] == (
        "bits per byte 1.980 is above the most allowed, 1.900"
    )


def test_perplexity_is_compared_per_token_of_the_candidate_whatever_the_reference_calls_a_token() -> None:
    y = passages()
    mine = np.stack([2.0 * y[:, 0], y[:, 0] / 2], axis=1)
    other = np.stack([2.0 * y[:, 0], y[:, 0] / 4], axis=1)
    same = compare(section("perplexity"), y, mine, other)
    assert (same.candidate, same.reference, same.difference) == (16.0, 16.0, 0.0)


@pytest.mark.parametrize("metric", ["bits_per_byte", "perplexity"])
def test_few_passages_hold_and_say_how_many_would_do(metric: str) -> None:
    y = passages(20)
    model = np.stack([2.0 * y[:, 0], y[:, 0] / 3], axis=1)
    comparison = compare(section(metric), y, model, model)
    assert comparison.low < -0.05
    assert comparison.rows_wanted is not None
    assert comparison.rows_wanted > 20


def test_a_metric_of_classes_does_not_fit_passages() -> None:
    y = passages(5)
    with pytest.raises(ConfigError, match="bits_per_byte or perplexity for texts"):
        compare(section("accuracy"), y, np.ones((5, 2)), np.ones((5, 2)))


def test_two_tokenizers_give_bits_of_the_same_passages(tmp_path: Path) -> None:
    texts = [CIRCLE * 3, CIRCLE * 2 + "?", "xyz"]
    spent = []
    for number, tokenizer in enumerate((tokenizer_json([CIRCLE]), tokenizer_json([CIRCLE] * 5, 260))):
        tokens = tokens_of(tokenizer)
        follows = circle(tokens) if number == 0 else {}
        files = lm_files(follows, tokenizer) | {"model.onnx": bigram_model(tokens.vocabulary, follows)}
        predictor = lm_predictor(tmp_path / str(number), **files)
        spent.append(bits_of(predictor, texts))
    sizes = np.array([[len(text.encode()), 1] for text in texts])
    assert spent[0][:, 1].tolist() == sizes[:, 0].tolist()  # a token a byte
    assert (spent[1][:, 1] < spent[0][:, 1])[:2].all()  # merges
    per_byte = -np.log2(np.exp(8) / (np.exp(8) + 256))
    assert spent[0][0, 0] == pytest.approx(per_byte * sizes[0, 0], rel=1e-5)
    assert spent[1][:, 0] == pytest.approx(np.log2(261) * spent[1][:, 1], rel=1e-5)  # it knows nothing
    found = compare(section(), sizes, *spent)
    assert found.difference == pytest.approx((spent[1][:, 0] - spent[0][:, 0]).sum() / sizes[:, 0].sum())


def bits_of(predictor: Predictor, texts: list[str]) -> np.ndarray:
    tokens = predictor.tokens
    assert tokens is not None
    windows = [row_windows(ids, tokens.context, tokens.end) for ids in tokens.encode(texts)]
    x, y = (np.concatenate(parts) for parts in zip(*windows, strict=True))
    rows = np.repeat(np.arange(len(texts)), [len(x_WT) for x_WT, _ in windows])
    return row_bits(predictor.graph, tokens.vocabulary, x, y, rows, len(texts))


def test_a_prediction_is_the_bits_per_byte_of_the_first_window_whatever_stands_beside_it(tmp_path: Path) -> None:
    predictor = lm_predictor(tmp_path)
    items = [CIRCLE * 9, "x", CIRCLE[:4] + "😀" + CIRCLE]
    together, outputs = predictor.predict(predictor.parse(items))
    alone = [predictor.predict(predictor.parse([item]))[0][0] for item in items]
    assert together == pytest.approx(alone, rel=1e-6)
    assert outputs.shape == (3, 1)
    assert together[0] == pytest.approx(-np.log2(np.exp(8) / (np.exp(8) + 256)), rel=1e-4)
    assert together[1] > 8  # it expected a d
