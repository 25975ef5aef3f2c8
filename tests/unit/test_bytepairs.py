"""Byte-level BPE by tiktoken gives the ids that the tokenizers library gives, for any text; what is no such tokenizer is refused."""

import json
import random
import unicodedata

import numpy as np
import pytest
from handmade_lm import tokenizer_json
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from storage.errors import ConfigError
from tasks.transforms.bytepairs import LONG_RUN, BytePairs

TAUGHT = [
    "def f(x):\n        return x  # it's we'll they've\n\n\n" * 9,
    "机器学习是人工智能的一个分支。机器学习 12345 12345\r\n" * 9,
    "😀👩‍👩‍👧 naïve café \u3000\u3000\u3000 \t\t <|endoftext|>" * 9,
]
SIZE = 350
CONTENT = tokenizer_json(TAUGHT, SIZE)
LIBRARY, OURS = Tokenizer.from_str(CONTENT.decode()), BytePairs.load(CONTENT)
PIECES = [
    "  ", "\n", "\t", "\r\n", "\u3000", "\u200b", "\x85", "\x1c", " \u2028", "'s", "'LL", "'ve", "<|endoftext|>", "<s>", "[PAD]", "12", "½", "abc",
    " x", "é", "e\u0301", "机器学习", "。", "😀", "👩‍👩‍👧", "\x01", "\ufeff", "ǅ", "ª", "_", "#!", "    return",
]  # fmt: skip
texts = st.lists(st.sampled_from(PIECES) | st.text(max_size=6), max_size=30).map("".join)


def library_ids(text: str) -> list[int]:
    return LIBRARY.encode_batch_fast([text], add_special_tokens=False)[0].ids


@settings(deadline=None)
@given(texts)
def test_any_text_has_the_ids_that_the_library_gives_it(text: str) -> None:
    ids = OURS.encode([text])[0]
    assert ids.tolist() == library_ids(text)
    assert b"".join(OURS.token_bytes[index] for index in ids) == text.encode()


def test_every_character_is_cut_off_where_the_library_cuts_it_off() -> None:
    characters = [chr(code) for code in range(1, 0x110000) if unicodedata.category(chr(code)) not in ("Cn", "Cs", "Co")]
    seen = random.Random(0).sample(characters, 20_000)
    for kind in ("Zs", "Zl", "Zp", "Cc", "Cf", "Nd", "Nl", "No", "Lm", "Lt", "Mn", "Mc", "Sk"):
        seen += [one for one in characters if unicodedata.category(one) == kind]
    text = "".join(f"a{one} {one}1{one}{one}!" for one in seen)
    assert OURS.encode([text])[0].tolist() == library_ids(text)


def test_merges_that_are_not_in_the_order_of_ids_give_those_ids() -> None:
    data = json.loads(CONTENT)
    shuffled = list(range(SIZE))
    random.Random(1).shuffle(shuffled)
    data["model"]["vocab"] = {token: shuffled[index] for token, index in data["model"]["vocab"].items()}
    library, ours = Tokenizer.from_str(json.dumps(data)), BytePairs.load(json.dumps(data).encode())
    for text in TAUGHT:
        assert ours.encode([text])[0].tolist() == library.encode(text).ids != OURS.encode([text])[0].tolist()


def test_a_special_token_has_an_id_that_no_text_gets() -> None:
    library = Tokenizer.from_str(CONTENT.decode())
    library.add_special_tokens(["<|endoftext|>"])
    ours = BytePairs.load(library.to_str().encode())
    assert library.encode("a<|endoftext|>").ids[-1] == SIZE == len(ours.token_bytes) - 1
    assert ours.encode(["a<|endoftext|>\0"])[0].tolist() == [*library_ids("a<|endoftext|>"), *library_ids("\0")]
    assert ours.token_bytes[SIZE] == b""


@pytest.mark.parametrize("space", [" ", "\n", "\u3000"])
@pytest.mark.parametrize("length", [LONG_RUN - 1, LONG_RUN, LONG_RUN + 70])
def test_long_runs_of_white_space_are_cut_as_short_ones_are(space: str, length: int) -> None:
    run = space * length
    for text in (run, f"a{run}b", f"{run} b", f"x{run}\ny {run[:100]}z{run}"):
        assert OURS.encode([text])[0].tolist() == library_ids(text)


def test_a_million_of_one_character_are_encoded() -> None:
    for character in (" ", "\n", "a", "!", "机"):
        text = character * 1_000_000 + "x"
        ids = OURS.encode([text])[0]
        assert sum(len(OURS.token_bytes[index]) for index in ids) == len(text.encode())


@pytest.mark.parametrize(("size", "dtype"), [(65_535, np.uint16), (65_536, np.int32)])
def test_ids_take_two_bytes_where_they_and_the_end_of_text_fit(size: int, dtype: type) -> None:
    data = json.loads(CONTENT)
    data["added_tokens"] = [{"id": size - 1, "content": "<last>", "special": True}]
    assert BytePairs.load(json.dumps(data).encode()).encode(["abc"])[0].dtype == dtype


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"normalizer": {"type": "NFC"}}, "normalizer: found 'NFC', wanted None"),
        ({"model": {"type": "Unigram", "vocab": []}}, "model: found 'Unigram', wanted 'BPE'"),
        ({"pre_tokenizer": {"type": "Whitespace"}}, "found 'Whitespace', wanted 'ByteLevel'"),
        ({"pre_tokenizer": None}, "found None, wanted 'ByteLevel'"),
        ({"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": True}}, "add_prefix_space: found True"),
        ({"model": {"vocab": {"▁the": 0}, "merges": []}}, "found '▁the', wanted characters that stand for bytes"),
        ({"model": {"vocab": {"a": 0}, "merges": []}}, "bytes without a token: found"),
    ],
)
def test_what_is_no_byte_level_bpe_is_refused(change: dict, found: str) -> None:
    with pytest.raises(ConfigError, match=found):
        BytePairs.load(json.dumps(json.loads(CONTENT) | change).encode())
