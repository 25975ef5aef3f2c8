"""Texts gone on with by a language model, token by token. V vocabulary."""

import codecs
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from storage.errors import CorruptArtifact
from tasks.inference.language import next_logits
from tasks.inference.predictor import Predictor
from tasks.inference.wishes import Wish


@dataclass
class Generation:
    """Iterate over it for the text, in pieces of whole characters; afterwards the rest is known.

    A prompt of more tokens than the model's context counts by its last ones. Its very last token is taken back and written anew, so that
    a word which the prompt breaks off goes on as it would have been written. `finish_reason`: `stop` (the text ended, or a stop
    text came, which is left out) or `length`. The same wish with a seed, or without temperature, gives the same text.
    """

    predictor: Predictor
    wish: Wish
    finish_reason: str = ""
    completion_tokens: int = 0
    prompt_tokens: int = 0
    _ids: list[int] = field(default_factory=list)
    _owed: bytes = b""

    def __post_init__(self) -> None:
        tokens = self.predictor.tokens
        if tokens is None:
            raise ValueError("only a language model can go on with a text")
        self._tokens = tokens
        prompt = tokens.encode([self.wish.prompt])[0].tolist() if self.wish.prompt else []
        self.prompt_tokens = len(prompt)
        self._ids = [tokens.end, *prompt[:-1]]
        self._owed = tokens.token_bytes[prompt[-1]] if prompt else b""
        self._random = np.random.default_rng(self.wish.seed)

    def __iter__(self) -> Iterator[str]:
        decoder, shown = codecs.getincrementaldecoder("utf-8")("replace"), _Shown(self.wish.stop)
        while self.completion_tokens < self.wish.max_tokens:
            content = self._next()
            if content is None:
                self.finish_reason = "stop"
                break
            piece = shown.more(decoder.decode(content))
            if piece:
                yield piece
            if shown.stopped:
                self.finish_reason = "stop"
                return
        self.finish_reason = self.finish_reason or "length"
        if rest := shown.rest():
            yield rest

    def _next(self) -> bytes | None:
        """The bytes that one more token adds to the text; None at the end of the text. Tokens that only write the prompt are not counted."""
        content: bytes | None = b""
        while content == b"":
            content = self._write()
        self.completion_tokens += 1
        return content

    def _write(self) -> bytes | None:
        """The bytes that the next token adds to the prompt; None for the end of text."""
        window = np.array([self._ids[-self._tokens.context :]], dtype=np.int32)
        logits_V = next_logits(self.predictor.graph, window)[0, -1].astype(np.float64)
        if not np.isfinite(logits_V).all():
            raise CorruptArtifact("the model has no finite answer for this prompt; release it again")
        if self._owed:
            logits_V[~self._pays()] = -np.inf
        chosen = _choose(logits_V, self.wish, self._random)
        if chosen == self._tokens.end:
            return None
        self._ids.append(chosen)
        content, owed = self._tokens.token_bytes[chosen], self._owed
        self._owed = owed[len(content) :]
        return content[len(owed) :]

    def _pays(self) -> np.ndarray:
        """(V,) whether a token writes what was taken back of the prompt, or begins to."""
        owed = self._owed
        return np.array(
            [token[: len(owed)] == owed[: len(token)] and bool(token) for token in self._tokens.token_bytes]
        )


class _Shown:
    """Holds back what could be the beginning of a stop text."""

    def __init__(self, stop: Sequence[str]) -> None:
        self._stop = [text for text in stop if text]
        self._held = ""
        self.stopped = False

    def more(self, text: str) -> str:
        """What can be shown now."""
        held = self._held + text
        found = [place for stop in self._stop if (place := held.find(stop)) >= 0]
        if found:
            self.stopped = True
            return held[: min(found)]
        kept = max((n for stop in self._stop for n in range(1, len(stop)) if held.endswith(stop[:n])), default=0)
        self._held = held[len(held) - kept :]
        return held[: len(held) - kept]

    def rest(self) -> str:
        """What was held back for nothing."""
        return self._held


def _choose(logits_V: np.ndarray, wish: Wish, random: np.random.Generator) -> int:
    """A token: the most probable one, or one drawn from the most probable that have `top_p` together (Holtzman 2020)."""
    if wish.temperature == 0:
        return int(logits_V.argmax())
    odds_V = np.exp((logits_V - logits_V.max()) / wish.temperature)
    order = np.argsort(-odds_V, kind="stable")
    shares = odds_V[order] / odds_V.sum()
    kept = int(np.searchsorted(shares.cumsum(), wish.top_p)) + 1
    shares = shares[:kept] / shares[:kept].sum()
    return int(order[random.choice(len(shares), p=shares)])
