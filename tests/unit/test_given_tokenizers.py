"""Tokenizers that are there already, by configuration: their ids are kept, their content decides the key, and others are refused."""

import base64
import json
from pathlib import Path

import pytest
from documented import LINE, prepared, section
from handmade_lm import tokenizer_json, tokens_of
from tiktoken import Encoding
from tokenizers import Tokenizer

from storage.errors import ConfigError, NotFound, SchemaError
from storage.manifests import put_manifest
from storage.objects import open_store
from tasks.frames.fitting import fit_transforms
from tasks.frames.given_tokenizers import check_same_ids, read_tokenizer
from tasks.frames.identity import tokenizer_identity
from tasks.sections import TransformsSection
from tasks.transforms import Transforms
from tasks.transforms.bytepairs import GPT2, BytePairs

CONTENT = tokenizer_json([LINE * 9, "机器学习 12345 they've" * 9], 320)
TEXTS = [LINE, "机器学习。 12345\n\n  x", "<|endoftext|> naïve"]
WORDS = r"\p{L}+| ?[^\p{L}]"


def section_of(path: Path, pattern: str = "") -> TransformsSection:
    return TransformsSection(tokenizer=str(path), tokenizer_pattern=pattern, max_tokens=16)


def read(path: Path, pattern: str = "") -> bytes:
    given = section_of(path, pattern)
    return read_tokenizer(given, tokenizer_identity(given))


def file_of(folder: Path, content: bytes) -> Path:
    (folder / "given").write_bytes(content)
    return folder / "given"


def tiktoken_file() -> tuple[bytes, dict[bytes, int]]:
    ranks = {token: rank for rank, token in enumerate(BytePairs.load(CONTENT).token_bytes)}
    return b"".join(b"%s %d\n" % (base64.b64encode(token), rank) for token, rank in ranks.items()), ranks


def test_a_model_takes_the_tokenizer_that_is_named_and_its_ids(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(20):
        (tmp_path / "in" / f"{number}.txt").write_text(f"number {number}\n" + LINE)
    store = open_store(str(tmp_path / "store"))
    digest = put_manifest(store, prepared(section(tmp_path / "in"), store)[0])
    given = section_of(file_of(tmp_path, CONTENT))
    files = fit_transforms(given, store, digest, tokenizer_identity(given))
    assert files["tokenizer.json"] == CONTENT
    assert Transforms.load(files).input.vocabulary == len(BytePairs.load(CONTENT).token_bytes) + 1  # pyright: ignore


@pytest.mark.parametrize("pattern", ["gpt2", WORDS])
def test_a_tiktoken_file_gives_the_ids_that_tiktoken_gives(tmp_path: Path, pattern: str) -> None:
    content, ranks = tiktoken_file()
    made = read(file_of(tmp_path, content), pattern)
    regex = GPT2 if pattern == "gpt2" else pattern
    reference = Encoding("given", pat_str=regex, mergeable_ranks=ranks, special_tokens={})
    library = Tokenizer.from_str(made.decode())
    for text in TEXTS:
        ids = tokens_of(made).encode([text])[0].tolist()
        assert ids == reference.encode_ordinary(text) == library.encode(text).ids


def test_the_content_decides_not_the_place(tmp_path: Path) -> None:
    first = tokenizer_identity(section_of(file_of(tmp_path, CONTENT)))
    (tmp_path / "other").mkdir()
    assert tokenizer_identity(section_of(file_of(tmp_path / "other", CONTENT))) == first
    assert tokenizer_identity(section_of(file_of(tmp_path, CONTENT + b"\n"))) != first
    assert tokenizer_identity(TransformsSection()) == ""
    assert "tokenizer" not in section_of(tmp_path).key_fields()


def test_a_file_that_is_changed_before_it_is_read_is_refused(tmp_path: Path) -> None:
    given = section_of(file_of(tmp_path, CONTENT))
    identity = tokenizer_identity(given)
    file_of(tmp_path, CONTENT + b" ")
    with pytest.raises(SchemaError, match="was changed while it was read"):
        read_tokenizer(given, identity)


@pytest.mark.parametrize(
    ("content", "pattern", "found"),
    [
        (b"\x0a\x0e\x0a\x05<unk>\x15\x00", "gpt2", "found neither JSON nor lines of a token in base64"),
        (b"YQ== 0\nYg== 1\n", "gpt2", "bytes without a token"),
        (b"YQ== 0\n", "", "does not say where a text is cut; set transforms.tokenizer_pattern"),
        (b'{"hello": 1}', "", "found no tokenizer"),
        (b'{"model": {"type": "WordPiece", "vocab": {}}}', "", "model: found 'WordPiece', wanted 'BPE'"),
    ],
)
def test_what_is_no_byte_level_bpe_is_refused(tmp_path: Path, content: bytes, pattern: str, found: str) -> None:
    with pytest.raises(ConfigError, match=f"transforms.tokenizer .*{found}"):
        read(file_of(tmp_path, content), pattern)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="nowhere"):
        tokenizer_identity(section_of(tmp_path / "nowhere.json"))


def test_a_tokenizer_whose_tokens_its_merges_do_not_make_is_refused() -> None:
    data = json.loads(CONTENT)
    check_same_ids(CONTENT, TEXTS)
    del data["model"]["merges"][0]  # what others are made of
    with pytest.raises(ConfigError, match="as the tokenizers library has them"):
        check_same_ids(json.dumps(data).encode(), TEXTS)
