"""Tokenizers that are there already: a byte-level BPE as `tokenizer.json` of the tokenizers library, or as a file of tiktoken's.

Whatever it was, the model carries it as a `tokenizer.json`. What a tiktoken file does not say, where a text is cut before pairs are merged,
`transforms.tokenizer_pattern` has to.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Iterable
from typing import Any

from tokenizers import Tokenizer

from storage.errors import ConfigError, SchemaError
from tasks.frames.faults import reading
from tasks.frames.filesystems import hidden
from tasks.frames.streams import opened
from tasks.sections import TransformsSection
from tasks.transforms.bytepairs import GPT2, BytePairs, byte_of_character

PATTERNS = {"gpt2": GPT2}
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
_NEXT_STEP = "name a tokenizer.json of a byte-level BPE, or a tiktoken file"


def read_tokenizer(section: TransformsSection, identity: str) -> bytes:
    """The tokenizer.json that the file of that identity is, or makes. ConfigError where it is no byte-level BPE; SchemaError where it was changed."""
    name = hidden(section.tokenizer)
    with reading(section.tokenizer), opened(section.tokenizer) as file:
        content = file.read()
    if hashlib.sha256(content).hexdigest() != identity:
        raise SchemaError(f"transforms.tokenizer {name}: was changed while it was read; run again")
    try:
        made = content if content.lstrip().startswith(b"{") else _from_tiktoken(content, section.tokenizer_pattern)
        BytePairs.load(made)
    except ConfigError as error:
        raise ConfigError(f"transforms.tokenizer {name}: {error}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"transforms.tokenizer {name}: found no tokenizer ({type(error).__name__}: {error}); {_NEXT_STEP}"
        ) from error
    return made


def check_same_ids(tokenizer: bytes, texts: Iterable[str]) -> None:
    """ConfigError where texts, or tokens by themselves, have other ids here than in the tokenizers library, without its special tokens."""
    data = json.loads(tokenizer)
    library, ours = Tokenizer.from_str(json.dumps({**data, "added_tokens": []})), BytePairs.load(tokenizer)
    tokens = [token.decode() for token in ours.token_bytes if token and _is_text(token)]
    for text in (*tokens, *texts):
        found, wanted = ours.encode([text])[0].tolist(), library.encode(text, add_special_tokens=False).ids
        if found != wanted:
            raise ConfigError(
                f"transforms.tokenizer: found ids {found[:8]} for {text[:40]!r}, wanted {wanted[:8]}, as the tokenizers library has them: its "
                "merges do not make its tokens as they were learnt; take another tokenizer"
            )


def _is_text(token: bytes) -> bool:
    try:
        token.decode()
    except UnicodeDecodeError:
        return False
    return True


def _from_tiktoken(content: bytes, pattern: str) -> bytes:
    """A tokenizer.json with the same ids. A line is a token in base64 and its rank; two tokens are merged wherever that makes a third."""
    if not pattern:
        raise ConfigError(
            "found a tiktoken file, which does not say where a text is cut; set transforms.tokenizer_pattern: gpt2, or a regular expression"
        )
    try:
        lines = [line.split() for line in content.splitlines() if line]
        ranks = {base64.b64decode(token, validate=True): int(rank) for token, rank in lines}
    except (binascii.Error, ValueError):
        raise ConfigError(f"found neither JSON nor lines of a token in base64 and its rank; {_NEXT_STEP}") from None
    written = str.maketrans({chr(byte): character for character, byte in byte_of_character().items()})
    names = {token: token.decode("latin-1").translate(written) for token in ranks}
    merges = [
        [names[token[:cut]], names[token[cut:]]]
        for token in sorted(ranks, key=ranks.__getitem__)
        for cut in range(1, len(token))
        if token[:cut] in ranks and token[cut:] in ranks
    ]
    vocabulary = {name: ranks[token] for token, name in names.items()}
    model = {"type": "BPE", "vocab": vocabulary, "merges": merges, "ignore_merges": True}
    tokenizer = {"version": "1.0", "pre_tokenizer": _cut_by(pattern), "decoder": BYTE_LEVEL, "model": model}
    return json.dumps(tokenizer, ensure_ascii=False).encode()


def _cut_by(pattern: str) -> dict[str, Any]:
    regex = {"Regex": PATTERNS.get(pattern, pattern)}
    split = {"type": "Split", "pattern": regex, "behavior": "Isolated", "invert": False}
    return {"type": "Sequence", "pretokenizers": [split, BYTE_LEVEL]}
