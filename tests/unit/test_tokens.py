"""Byte-level tokens: nothing is lost, no text spells the end of text; windows have each token as a target exactly once."""

import numpy as np
import pytest
from documented import LINE, prepared, section
from features import encoded
from handmade_lm import tokenizer_json, tokens_of

from storage.errors import ConfigError
from storage.manifests import put_manifest
from storage.objects import open_store
from tasks.frames.fitting import fit_transforms
from tasks.frames.windows import compressors
from tasks.sections import TransformsSection
from tasks.transforms import ItemError, Transforms
from tasks.transforms.streams import open_stream
from tasks.transforms.windows import IGNORED, row_windows

TEXTS = [
    "def f(x):\n    return x\n",
    "  \t\r\n\x0b\u3000\u200b ",
    "空白と改行 😀👩‍👩‍👧",
    "<|endoftext|>[PAD]</s>",
    "\x01\x7f\ufeff\uffff",
    "e\u0301 é",
]


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> tuple:
    folder = tmp_path_factory.mktemp("fitted")
    (folder / "in").mkdir()
    for number in range(40):
        (folder / "in" / f"{number}.txt").write_text(f"number {number}\n" + LINE * (1 + number % 5))
    store = open_store(str(folder / "store"))
    manifest, _ = prepared(section(folder / "in", shard_rows=9), store)
    digest = put_manifest(store, manifest)
    return store, digest, fit_transforms(TransformsSection(vocabulary_size=300, max_tokens=16), store, digest)


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("vocabulary", [256, 400])
def test_every_text_comes_back_byte_by_byte(text: str, vocabulary: int) -> None:
    tokens = tokens_of(tokenizer_json([LINE * 3, *TEXTS], vocabulary))
    ids = tokens.encode([text])[0]
    assert tokens.decode(ids.tolist()) == text.encode()
    assert tokens.byte_counts[ids].sum() == len(text.encode())
    assert ids.max() < tokens.end == tokens.vocabulary - 1


def test_the_vocabulary_has_the_size_asked_for_and_the_same_rows_give_the_same_bytes(fitted: tuple) -> None:
    store, digest, files = fitted
    tokens = Transforms.load(files).input
    assert tokens.vocabulary == 300  # pyright: ignore
    assert fit_transforms(TransformsSection(vocabulary_size=300, max_tokens=16), store, digest) == files


def test_a_vocabulary_that_cannot_hold_all_bytes_is_refused(fitted: tuple) -> None:
    store, digest, _ = fitted
    with pytest.raises(ConfigError, match="wanted at least 257"):
        fit_transforms(TransformsSection(vocabulary_size=200), store, digest)


@pytest.mark.parametrize("length", [1, 2, 7, 8, 9, 14, 15, 40])
@pytest.mark.parametrize("context", [8, 1, 5])
def test_in_windows_each_token_is_a_target_once_after_the_tokens_before_it(length: int, context: int) -> None:
    ids, end = np.arange(length, dtype=np.int32), 999
    x_WT, y_WT = row_windows(ids, context, end)
    assert sorted(y_WT[y_WT != IGNORED].tolist()) == list(range(length))
    before = np.where(y_WT == 0, end, y_WT - 1)
    assert (x_WT[y_WT != IGNORED] == before[y_WT != IGNORED]).all()
    assert (y_WT[1:, : context // 4] == IGNORED).all()  # known from the window before


def test_features_count_each_token_of_each_split_once(fitted: tuple) -> None:
    store, digest, files = fitted
    paths, meta = encoded(store, digest, files)
    arrays = {name: np.load(path) for name, path in paths.items() if path.suffix == ".npy"}
    tokens = Transforms.load(files).input
    for split in ("validation", "test"):
        rows, sizes, y_WT = (arrays[f"{split}/{name}.npy"] for name in ("rows", "sizes", "y"))
        counted = np.where(y_WT == IGNORED, 0, tokens.byte_counts[y_WT]).sum(axis=1)  # pyright: ignore
        assert np.bincount(rows, weights=counted).tolist() == sizes[:, 0].tolist()
        assert len(sizes) == meta["rows"][split]
    stream = open_stream(paths["train/tokens.bin"].parent)
    assert stream.tokens.dtype == np.uint16
    x_WT, y_WT = stream.batch(np.arange(len(stream)))
    targets = y_WT[y_WT != IGNORED]
    ends = int((targets == tokens.end).sum())  # pyright: ignore
    text = tokens.decode(targets[targets != tokens.end].tolist()).decode()  # pyright: ignore
    assert ends == text.count("number ")  # an end of text after each document, none between its passages
    assert x_WT[0, 0] == tokens.end  # pyright: ignore
    assert list(meta["compressors"]) == ["bzip2 -9", "gzip -9", "xz -9", "xz -9 after the training text"]


def test_compressors_need_hardly_anything_for_what_they_know_and_seven_bits_for_noise_of_seven_bits() -> None:
    noise = np.random.default_rng(0).integers(0, 128, 40_000, dtype=np.uint8).tobytes()
    found = compressors(noise, LINE.encode())
    assert all(6.9 < value < 8 for value in found.values())
    assert compressors(LINE.encode() * 500, b"")["gzip -9"] < 0.2
    known = compressors(noise, noise)
    assert known["xz -9"] > 6.9
    assert known["xz -9 after the training text"] < 0.1


@pytest.mark.parametrize(
    ("item", "found"), [(5, "found int 5"), ("", "empty text"), ("a\0b", "NUL"), ("\ud800", "surrogate")]
)
def test_what_is_no_text_is_refused(fitted: tuple, item: object, found: str) -> None:
    with pytest.raises(ItemError, match=found):
        Transforms.load(fitted[2]).parse(["fine", item])
