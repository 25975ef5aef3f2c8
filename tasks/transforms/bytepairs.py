"""Byte-level BPE by tiktoken, read from the `tokenizer.json` of the tokenizers library: the same ids, several times as fast.

What is read: a BPE model over bytes, each written as a character (`bytes_to_unicode` of GPT-2's encoder.py, Radford 2019), with the ByteLevel
pre-tokenizer, its own pattern or one that a Split before it brings. Special tokens have ids, and no text spells them.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tiktoken import Encoding

from storage.errors import ConfigError

# GPT-2's pattern. The alternatives without a lookahead stand in one group, which is matched at one go: a third quicker, and nothing else.
GPT2 = r"(?:'(?:[sdmt]|ll|ve|re)| ?(?:\p{L}+|\p{N}+|[^\s\p{L}\p{N}]+))|\s+(?!\S)|\s+"
REST = r"|(?s:.)"  # what another pattern leaves between its matches is not lost
LONG_RUN = (
    1 << 16
)  # white space in a row: for some hundred thousands the pattern's lookahead has no room on tiktoken's stack
_SPACE = r"[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]"
_RUN = re.compile(f"(?<!{_SPACE}){_SPACE}{{{LONG_RUN},}}")
_STRIDE = 64
_MAYBE_RUN = re.compile(
    f"(?<!{_SPACE}){_SPACE}{{{LONG_RUN // _STRIDE - 1},}}"
)  # in every 64th character: that is quicker
_NO_SPECIAL = {
    "\0": 1 << 31
}  # none is ever allowed; but without any, tiktoken's search for them takes as long as its encoding


@dataclass(frozen=True)
class BytePairs:
    """`token_bytes`: what each id stands for, none for a special token and an id that is not given. `dtype` holds all ids and one more."""

    token_bytes: tuple[bytes, ...]
    dtype: np.dtype
    encoding: Encoding
    ids_R: np.ndarray
    """The id of each rank: tiktoken tells the rank of the merge that makes a token, and merges need not be in the order of ids."""

    @classmethod
    def load(cls, content: bytes) -> "BytePairs":
        """From a tokenizer.json; ConfigError where it is no byte-level BPE, and where some bytes have no token."""
        data = json.loads(content)
        pattern, ids = pattern_of(data), byte_ids(data["model"]["vocab"])
        ranked = _ranked(data["model"], ids)
        special = {token["id"] for token in data.get("added_tokens") or ()}
        count = 1 + max(special.union(ids.values()))
        dtype = np.dtype(np.uint16 if count < 1 << 16 else np.int32)
        by_id = {index: token for token, index in ids.items() if index not in special}
        ranks = {token: rank for rank, token in enumerate(ranked)}
        encoding = Encoding("bytepairs", pat_str=pattern, mergeable_ranks=ranks, special_tokens=_NO_SPECIAL)
        token_bytes = tuple(by_id.get(index, b"") for index in range(count))
        return cls(token_bytes, dtype, encoding, np.array([ids[token] for token in ranked], dtype))

    def encode(self, texts: Iterable[str]) -> list[np.ndarray]:
        """Each text's ids, of `dtype`. A text is valid Unicode."""
        return [self.ids_R[self._ranks(text)] for text in texts]

    def _ranks(self, text: str) -> np.ndarray:
        if len(text) < LONG_RUN or not _MAYBE_RUN.search(text[::_STRIDE]):
            return self.encoding.encode_to_numpy(text, disallowed_special=())
        parts, done = [], 0
        for run in _RUN.finditer(text):
            # All of a run is one piece, but for its last character where another follows: that begins what follows
            end = run.end() - (run.end() < len(text))
            parts.append(self.encoding.encode_to_numpy(text[done : run.start()], disallowed_special=()))
            parts.append(np.array(self.encoding._encode_single_piece(text[run.start() : end]), np.uint32))
            done = end
        return np.concatenate([*parts, self.encoding.encode_to_numpy(text[done:], disallowed_special=())])


def pattern_of(data: Mapping[str, Any]) -> str:
    """The regular expression that cuts a text into pieces before pairs are merged; ConfigError where this is no byte-level BPE."""
    model = data["model"]
    _check("model", model.get("type", "BPE"), "BPE")
    for name in ("dropout", "continuing_subword_prefix", "end_of_word_suffix"):
        _check(f"model.{name}", model.get(name) or None, None)
    _check("normalizer", (data.get("normalizer") or {}).get("type"), None)
    given = data.get("pre_tokenizer") or {}
    *before, last = given.get("pretokenizers") or [given]
    _check("the last of pre_tokenizer", last.get("type"), "ByteLevel")
    _check("add_prefix_space", last.get("add_prefix_space", True), False)
    if last.get("use_regex", True) and not before:
        return GPT2
    _check("pre_tokenizer", [one.get("type") for one in before], ["Split"])
    _check("use_regex after a Split", last.get("use_regex", True), False)
    _check("behavior of Split", (before[0]["behavior"], before[0]["invert"]), ("Isolated", False))
    _check("pattern of Split", *(list(before[0]["pattern"]), ["Regex"]))
    regex = before[0]["pattern"]["Regex"]
    return GPT2 if regex == GPT2 else f"(?:{regex}){REST}"


def byte_ids(vocabulary: Mapping[str, int]) -> dict[bytes, int]:
    """The ids by the bytes of their tokens; ConfigError for a token that is not written in bytes, and for bytes without a token."""
    to_latin = str.maketrans({character: chr(byte) for character, byte in byte_of_character().items()})
    try:
        ids = {token.translate(to_latin).encode("latin-1"): index for token, index in vocabulary.items()}
    except UnicodeEncodeError as error:
        raise _refused("a token", repr(error.object), "characters that stand for bytes, as GPT-2 has them") from None
    missing = [byte for byte in range(256) if bytes([byte]) not in ids]
    _check("bytes without a token", missing, [])
    return ids


def byte_of_character() -> dict[str, int]:
    """The character that stands for each byte in a byte-level vocabulary: printable ones for themselves, the others from U+0100 on."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + place): byte for place, byte in enumerate(others)}


def _ranked(model: Mapping[str, Any], ids: Mapping[bytes, int]) -> list[bytes]:
    """Tokens by rank: the bytes, then what each merge makes; where whole pieces are looked up before merging, also what none makes."""
    by_id = {index: token for token, index in ids.items()}
    made = [by_id[model["vocab"]["".join(pair)]] for pair in _pairs(model["merges"])]
    ranked = dict.fromkeys([*(bytes([byte]) for byte in range(256)), *made])
    return list(ranked | dict.fromkeys(ids) if model.get("ignore_merges") else ranked)


def _pairs(merges: Sequence[Any]) -> Iterable[Sequence[str]]:
    return (merge.split(" ") if isinstance(merge, str) else merge for merge in merges)


def _check(name: str, found: object, wanted: object) -> None:
    if found != wanted:
        raise _refused(name, repr(found), repr(wanted))


def _refused(name: str, found: str, wanted: str) -> ConfigError:
    return ConfigError(
        f"tokenizer.json: {name}: found {found}, wanted {wanted}, as in a byte-level BPE that changes no text; take another tokenizer"
    )
