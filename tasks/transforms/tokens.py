"""Text ↔ byte-level tokens, without loss: every UTF-8 text has tokens, and they give its bytes back.

The end-of-text token is no part of the tokenizer: its id is the first one after the tokenizer's own, so that no text can spell it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from tasks.transforms.items import Refused, show


@dataclass(frozen=True)
class TokenInput:
    """A text, of which a window of `context` tokens counts; T below. A window begins with the end of the text before it."""

    name: str
    context: int
    tokenizer: Tokenizer
    dtype = "int32"

    @classmethod
    def load(cls, data: Mapping[str, Any], files: Mapping[str, bytes]) -> "TokenInput":
        tokenizer = Tokenizer.from_buffer(files["tokenizer.json"])
        tokenizer.no_padding()
        tokenizer.no_truncation()
        return cls(data["name"], data["context"], tokenizer)

    @property
    def features_shape(self) -> tuple[int, ...]:
        return (self.context,)

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.name,)

    @property
    def end(self) -> int:
        """The id of the end-of-text token."""
        return self.tokenizer.get_vocab_size()

    @property
    def vocabulary(self) -> int:
        """How many ids there are, the end-of-text token's included."""
        return self.end + 1

    @cached_property
    def token_bytes(self) -> tuple[bytes, ...]:
        """The bytes that each id stands for; none for the end of text."""
        byte_of = _byte_of_character()
        tokens = sorted(self.tokenizer.get_vocab().items(), key=lambda entry: entry[1])
        return (*(bytes(byte_of[character] for character in token) for token, _ in tokens), b"")

    @cached_property
    def byte_counts(self) -> np.ndarray:
        """(V,) bytes of each id."""
        return np.array([len(token) for token in self.token_bytes], dtype=np.int64)

    def encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Each text's ids, int32, without the end of text."""
        encoded = self.tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [np.array(encoding.ids, dtype=np.int32) for encoding in encoded]

    def decode(self, ids: Sequence[int]) -> bytes:
        """The bytes of `ids`, which need not end at a character's border."""
        return b"".join(self.token_bytes[index] for index in ids)

    def parse(self, item: object) -> tuple[str]:
        """An item's text, its white space kept; `Refused` for anything but a text of at least one character."""
        if isinstance(item, Mapping) and tuple(item) == (self.name,):
            item = item[self.name]
        if not isinstance(item, str):
            raise Refused(f"found {type(item).__name__} {show(item)}, wanted a text")
        if not item:
            raise Refused("found an empty text, wanted at least one character")
        if "\0" in item or any("\ud800" <= character <= "\udfff" for character in item):
            raise Refused("found a NUL or half a surrogate pair in the text, wanted valid Unicode")
        return (item,)

    def features(self, columns: Mapping[str, Sequence[Any]]) -> np.ndarray:
        """(B, T) int32: the end of text, then the text's first T − 1 tokens; the rest is filled with the end of text."""
        x_BT = np.full((len(columns[self.name]), self.context), self.end, dtype=np.int32)
        for row_T, ids in zip(x_BT, self.encode(columns[self.name]), strict=True):
            kept = ids[: self.context - 1]
            row_T[1 : 1 + len(kept)] = kept
        return x_BT

    def item(self, row: Sequence[Any]) -> str:
        """The item a client would send for a stored row."""
        return row[0]

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "minLength": 1}

    def sentence(self) -> str:
        return f"a text, of which the first {self.context - 1} tokens count"


def _byte_of_character() -> dict[str, int]:
    """The character that stands for each byte in a byte-level vocabulary: printable ones for themselves, the others from U+0100 on.

    As GPT-2 has it (Radford 2019; `bytes_to_unicode` in its encoder.py), and the tokenizers library after it.
    """
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + place): byte for place, byte in enumerate(others)}
