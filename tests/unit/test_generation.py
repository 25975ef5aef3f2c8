"""Generation: texts gone on with, whole characters only, stopped where it was asked, the same again with the same seed."""

from pathlib import Path

import pytest
from handmade_lm import CIRCLE, CONTEXT, bigram_model, circle, lm_files, lm_predictor, tokenizer_json, tokens_of

from tasks.inference.generation import Generation, Wish
from tasks.inference.predictor import Predictor


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    return lm_predictor(tmp_path_factory.mktemp("lm"))


def written(predictor: Predictor, prompt: str, **more: object) -> tuple[list[str], Generation]:
    generation = Generation(predictor, Wish(prompt, **{"temperature": 0.0, **more}))  # type: ignore[arg-type]
    return list(generation), generation


def test_the_most_probable_text_follows_the_prompt_beyond_the_context(predictor: Predictor) -> None:
    pieces, generation = written(predictor, "def ", max_tokens=4 * CONTEXT)
    assert (CIRCLE * 5).startswith("def " + "".join(pieces))
    assert len("".join(pieces).encode()) == 4 * CONTEXT
    assert (generation.finish_reason, generation.prompt_tokens, generation.completion_tokens) == (
        "length",
        4,
        4 * CONTEXT,
    )


def test_a_character_of_several_tokens_is_never_shown_in_parts(predictor: Predictor) -> None:
    whole = len("ün(x😀".encode())
    for count in range(1, whole + 1):
        pieces, _ = written(predictor, "def ", max_tokens=count)
        assert "\ufffd" not in "".join(pieces)
        assert "ün(x😀):".startswith("".join(pieces))
    assert "😀" in "".join(written(predictor, "def ", max_tokens=whole)[0])


@pytest.mark.parametrize(
    ("stop", "expected"),
    [(("):",), "ün(x😀"), (("😀", "x"), "ün("), (("zzz", ":q"), "ün(x😀):\ndef"), (("\n",), "ün(x😀):")],
)
def test_a_stop_text_ends_it_and_is_left_out(predictor: Predictor, stop: tuple[str, ...], expected: str) -> None:
    pieces, generation = written(predictor, "def ", max_tokens=15, stop=stop)
    assert "".join(pieces) == expected
    assert generation.finish_reason == ("length" if "zzz" in stop else "stop")


def test_an_end_of_text_ends_it(tmp_path: Path) -> None:
    tokens = tokens_of(tokenizer_json([CIRCLE]))
    colon = tokens.encode([":"])[0][0]
    predictor = lm_predictor(tmp_path, **{"model.onnx": bigram_model(257, circle(tokens) | {int(colon): tokens.end})})
    pieces, generation = written(predictor, "", max_tokens=99)
    assert "".join(pieces) == CIRCLE.strip()
    assert generation.finish_reason == "stop"


def test_a_word_that_the_prompt_breaks_off_goes_on(tmp_path: Path) -> None:
    tokenizer = tokenizer_json([" return x\n"] * 9, 300)
    tokens = tokens_of(tokenizer)
    (whole,) = tokens.encode([" return"])[0].tolist()
    ids = tokens.encode(["a"])[0].tolist()
    follows = {ids[0]: whole, whole: tokens.end}
    files = lm_files(follows, tokenizer)
    predictor = lm_predictor(tmp_path, **files)
    for prompt in ("a", "a ", "a r"):
        pieces, _ = written(predictor, prompt, max_tokens=9)
        assert prompt + "".join(pieces) == "a return" or prompt == "a r"


def test_the_same_seed_writes_the_same_and_another_one_something_else(predictor: Predictor) -> None:
    hot = {"temperature": 2.0, "max_tokens": 30}
    first, second, third = ("".join(written(predictor, "d", seed=seed, **hot)[0]) for seed in (1, 1, 2))
    assert first == second != third


def test_a_small_top_p_leaves_only_the_most_probable(predictor: Predictor) -> None:
    hot = {"temperature": 2.0, "max_tokens": 30}
    cold = "".join(written(predictor, "def ", max_tokens=30)[0])
    assert "".join(written(predictor, "def ", seed=1, top_p=0.01, **hot)[0]) == cold
    assert "".join(written(predictor, "def ", seed=1, **hot)[0]) != cold
