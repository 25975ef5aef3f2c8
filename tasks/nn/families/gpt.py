"""The causal transformer: each token of a window predicts the next one.

Shapes: B batch, T tokens, C width, H heads, D width of a head, F width of a feed-forward, V vocabulary.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from tasks.nn.families.attention import rotary_angles, rotated
from tasks.nn.families.channels import ROUND_TO
from tasks.nn.families.family import Family, Options, is_tokens
from tasks.nn.families.slicing import strongest

WIDENING = 4  # F = 4 C, as in Vaswani 2017
INITIAL_DEVIATION = 0.02


class Attention(nn.Module):
    """Each token looks at itself and the tokens before it; positions are rotations of queries and keys (Su 2021)."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.looks = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, h_BTC: Tensor, turns: tuple[Tensor, Tensor]) -> Tensor:
        batch, tokens, width = h_BTC.shape
        split = self.looks(h_BTC).view(batch, tokens, 3, self.heads, width // self.heads)
        query, key, value_BHTD = split.permute(2, 0, 3, 1, 4).unbind(0)
        seen_BHTD = functional.scaled_dot_product_attention(
            rotated(query, turns),
            rotated(key, turns),
            value_BHTD,
            is_causal=True,
            dropout_p=self.dropout if self.training else 0.0,
        )
        return self.out(seen_BHTD.transpose(1, 2).reshape(batch, tokens, width))


class Layer(nn.Module):
    """Attention, then a feed-forward with ReLU² (So 2021), each on the normalised sum of what came before (pre-norm)."""

    def __init__(self, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.before_attention, self.before_hidden = nn.LayerNorm(width, bias=False), nn.LayerNorm(width, bias=False)
        self.attention = Attention(width, heads, dropout)
        self.up, self.down = nn.Linear(width, hidden, bias=False), nn.Linear(hidden, width, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, h_BTC: Tensor, turns: tuple[Tensor, Tensor]) -> Tensor:
        h_BTC = h_BTC + self.dropout(self.attention(self.before_attention(h_BTC), turns))
        f_BTF = self.up(self.before_hidden(h_BTC)).relu().square()
        return h_BTC + self.dropout(self.down(f_BTF))


class Gpt(nn.Module):
    """(B, T) token ids, T at most `context` → (B, T, V) logits of the next token. One matrix is embedding and head (Press 2017)."""

    cosines_TD: Tensor
    sines_TD: Tensor

    def __init__(
        self, vocabulary: int, context: int, width: int, heads: int, hidden: Sequence[int], dropout: float
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.layers = nn.ModuleList(Layer(width, heads, size, dropout) for size in hidden)
        self.norm = nn.LayerNorm(width, bias=False)
        self.dropout = nn.Dropout(dropout)
        angles_TD = rotary_angles(context, width // heads)
        self.register_buffer("cosines_TD", angles_TD.cos(), persistent=False)
        self.register_buffer("sines_TD", angles_TD.sin(), persistent=False)
        self._initialise()

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.shape[1]
        turns = self.cosines_TD[:tokens], self.sines_TD[:tokens]
        h_BTC = self.dropout(self.embedding(x))
        for layer in self.layers:
            h_BTC = layer(h_BTC, turns)
        return functional.linear(self.norm(h_BTC), self.embedding.weight)

    def _initialise(self) -> None:
        """Small normal matrices; what a layer adds begins at zero, so that each begins as no layer at all."""
        for parameter in self.parameters():
            if parameter.dim() >= 2:
                nn.init.normal_(parameter, std=INITIAL_DEVIATION)
        for name, parameter in self.named_parameters():
            if name.endswith(("attention.out.weight", "down.weight")):
                nn.init.zeros_(parameter)


def _build(options: Options, shape: Sequence[int], outputs: int) -> Gpt:
    names = ("width", "heads", "hidden", "dropout")
    return Gpt(outputs, shape[0], *(options[name] for name in names))


def _complete(options: Options, train: Any) -> dict[str, Any]:
    plain = {name: value for name, value in options.items() if name != "layers"}
    return {**plain, "hidden": [WIDENING * options["width"]] * options["layers"]}


def _widths(module: Any) -> dict[str, Any]:
    return {"hidden": [layer.up.out_features for layer in module.layers]}


def _prune(module: Any, rows: Tensor, share: float) -> None:
    """Hidden units of the feed-forward networks; a unit's strength is the product of the norms of the weights into and out of it."""
    for layer in module.layers:
        up_FC, down_CF = layer.up.weight.data, layer.down.weight.data
        kept = strongest(up_FC.norm(dim=1) * down_CF.norm(dim=0), share, ROUND_TO)
        layer.up, layer.down = _linear(up_FC[kept]), _linear(down_CF[:, kept])


def _linear(weight: Tensor) -> nn.Linear:
    linear = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    linear.weight = nn.Parameter(weight.contiguous())
    return linear


FAMILY = Family(
    takes="windows of int32 token ids", fits=is_tokens, build=_build, widths=_widths, complete=_complete, prune=_prune
)
