"""Text ↔ byte-level tokens, without loss: every UTF-8 text has tokens, and they give its bytes back.

The end-of-text token is no part of the tokenizer: its id is the first one after the tokenizer's own, so that no text can spell it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tasks.transforms.bytepairs import BytePairs
from tasks.transforms.items import Refused, show


@dataclass(frozen=True)
class TokenInput:
    """A text, of which a window of `context` tokens counts; T below. A window begins with the end of the text before it.

    `packing`: how training windows are filled, as in `tasks.transforms.streams`.
    """

    name: str
    context: int
    pairs: BytePairs
    packing: str = "concatenate"
    dtype = "int32"

    @classmethod
    def load(cls, data: Mapping[str, Any], files: Mapping[str, bytes]) -> "TokenInput":
        return cls(
            data["name"], data["context"], BytePairs.load(files["tokenizer.json"]), data.get("packing", "concatenate")
        )

    @property
    def features_shape(self) -> tuple[int, ...]:
        return (self.context,)

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.name,)

    @property
    def end(self) -> int:
        """The id of the end-of-text token."""
        return len(self.pairs.token_bytes)

    @property
    def vocabulary(self) -> int:
        """How many ids there are, the end-of-text token's included."""
        return self.end + 1

    @cached_property
    def token_bytes(self) -> tuple[bytes, ...]:
        """The bytes that each id stands for; none for the end of text and for other special tokens."""
        return (*self.pairs.token_bytes, b"")

    @property
    def stored_dtype(self) -> np.dtype:
        """What holds every id, the end-of-text token's included: uint16, or int32 for a large vocabulary."""
        return self.pairs.dtype

    @cached_property
    def byte_counts(self) -> np.ndarray:
        """(V,) bytes of each id."""
        return np.array([len(token) for token in self.token_bytes], dtype=np.int64)

    def encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Each text's ids, without the end of text: uint16 where all ids fit, else int32."""
        return self.pairs.encode(texts)

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
