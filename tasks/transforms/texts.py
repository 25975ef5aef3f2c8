"""Text → token ids."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from tasks.transforms.items import Refused, did_you_mean, show

PAD, UNKNOWN = "[PAD]", "[UNK]"
PAD_ID, UNKNOWN_ID = 0, 1


@dataclass(frozen=True)
class TextInput:
    """A text, cut to its first `max_tokens` tokens. The vocabulary's two special entries are no added tokens: no text can spell them."""

    name: str
    max_tokens: int
    vocabulary: int
    tokenizer: Tokenizer
    dtype = "int32"

    @classmethod
    def load(cls, data: Mapping[str, Any], files: Mapping[str, bytes]) -> "TextInput":
        tokenizer = Tokenizer.from_buffer(files["tokenizer.json"])
        tokenizer.no_padding()
        tokenizer.enable_truncation(data["max_tokens"])
        return cls(data["name"], data["max_tokens"], tokenizer.get_vocab_size(), tokenizer)

    @property
    def features_shape(self) -> tuple[int, ...]:
        return (self.max_tokens,)

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.name,)

    def parse(self, item: object) -> tuple[str]:
        """An item's text; `Refused` for anything but a text that is not blank."""
        if isinstance(item, Mapping):
            item = self._named(item)
        if not isinstance(item, str):
            raise Refused(f"found {type(item).__name__} {show(item)}, wanted a text")
        text = item.strip()
        if not text:
            raise Refused("found an empty text, wanted at least one character")
        if "\0" in text or any("\ud800" <= char <= "\udfff" for char in text):
            raise Refused("found a NUL or half a surrogate pair in the text, wanted valid Unicode")
        return (text,)

    def features(self, columns: Mapping[str, Sequence[Any]]) -> np.ndarray:
        """(B, T) int32 token ids, padded with 0 on the right; unknown words are 1."""
        encoded = self.tokenizer.encode_batch_fast(list(columns[self.name]), add_special_tokens=False)
        ids_BT = np.full((len(encoded), self.max_tokens), PAD_ID, dtype=np.int32)
        for row_T, encoding in zip(ids_BT, encoded, strict=True):
            ids = encoding.ids
            row_T[: len(ids)] = ids
        return ids_BT

    def item(self, row: Sequence[Any]) -> str:
        """The item a client would send for a stored row."""
        return row[0]

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "minLength": 1}

    def sentence(self) -> str:
        return f"a text, of which the first {self.max_tokens} words and marks count"

    def _named(self, item: Mapping[Any, Any]) -> object:
        if self.name not in item:
            raise Refused(f"found an object without {self.name!r}, wanted a text or {{{self.name!r}: text}}")
        unknown = [key for key in item if key != self.name]
        if unknown:
            raise Refused(f"found the unknown column {show(unknown[0])}{did_you_mean(str(unknown[0]), [self.name])}")
        return item[self.name]
