"""Long short-term memory (Hochreiter 1997) over a text, one way or both; the greatest output of each unit over the real tokens.

Legend beyond the package's: D directions, H hidden units of one direction, N length of a text.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tasks.nn.families.channels import ROUND_TO
from tasks.nn.families.family import Family, Options, is_tokens
from tasks.nn.families.slicing import cut_embedding, cut_linear, squares, strongest
from tasks.nn.families.tokens import known, lengths, make_embedding, trimmed, vocabulary_of
from tasks.splits import Split


class Layer(nn.Module):
    """One direction or two: (B, T, F) and lengths (B,) → (B, T, D·H). What lies behind a text's end has no influence on it."""

    def __init__(self, inputs: int, hidden: int, both: bool) -> None:
        super().__init__()
        self.hidden = hidden
        self.directions = nn.ModuleList(nn.LSTM(inputs, hidden) for _ in range(1 + both))

    def forward(self, h_BTF: Tensor, lengths_B: Tensor) -> Tensor:
        if torch.onnx.is_in_onnx_export():
            return self._operator(h_BTF, lengths_B)
        outputs = [_run(self.directions[0], h_BTF)]
        if len(self.directions) == 2:
            backwards_BTF = _reversed(h_BTF, lengths_B)
            outputs.append(_reversed(_run(self.directions[1], backwards_BTF), lengths_B))
        return torch.cat(outputs, 2)

    def _operator(self, h_BTF: Tensor, lengths_B: Tensor) -> Tensor:
        """The same as one node, ONNX's own LSTM, which ends at each text's length."""
        rows, tokens, _ = h_BTF.shape
        hidden, count = self.hidden, len(self.directions)
        kinds = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
        inputs, recurrent, *biases = (torch.stack([_gates(d, kind) for d in self.directions]) for kind in kinds)
        outputs_TDBH, _, _ = torch.onnx.ops.symbolic_multi_out(
            "LSTM",
            (h_BTF.transpose(0, 1), inputs, recurrent, torch.cat(biases, 1), lengths_B.int()),
            {"hidden_size": hidden, "direction": "bidirectional" if count == 2 else "forward"},
            dtypes=(h_BTF.dtype,) * 3,
            shapes=((tokens, count, rows, hidden), (count, rows, hidden), (count, rows, hidden)),
        )
        return outputs_TDBH.permute(2, 0, 1, 3).flatten(2)


class Lstm(nn.Module):
    """Embedding, layers, the greatest output over the real tokens, head: (B, T) token ids → (B, K)."""

    def __init__(
        self, vocabulary: int, embedding: int, hidden: Sequence[int], both: bool, outputs: int, dropout: float
    ) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        self.embedding = make_embedding(vocabulary, embedding)
        widths = [embedding, *(width * (1 + both) for width in hidden)]
        self.layers = nn.ModuleList(Layer(a, b, both) for a, b in zip(widths, hidden, strict=False))
        self.head = nn.Linear(widths[-1], outputs)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        ids_BT = trimmed(known(x, self.vocabulary))
        lengths_B = lengths(ids_BT)
        h_BTF = self.embedding(ids_BT)
        for layer in self.layers:
            h_BTF = layer(self.dropout(h_BTF), lengths_B)
        real_BT = torch.arange(ids_BT.shape[1], device=x.device) < lengths_B[:, None]
        pooled_BF = h_BTF.masked_fill(~real_BT[:, :, None], -1.0).amax(1)  # an LSTM's outputs lie above -1
        return self.head(self.dropout(pooled_BF))


def _run(direction: nn.Module, h_BTF: Tensor) -> Tensor:
    # Time first: a fifth faster on a CPU.
    return direction(h_BTF.transpose(0, 1))[0].transpose(0, 1)


def _reversed(h_BTF: Tensor, lengths_B: Tensor) -> Tensor:
    """Each text's tokens in opposite order; the padding stays where it is."""
    rows, tokens, _ = h_BTF.shape
    at_T, ends_B1 = torch.arange(tokens, device=h_BTF.device), lengths_B[:, None]
    from_BT = torch.where(at_T < ends_B1, ends_B1 - 1 - at_T, at_T)
    return h_BTF[torch.arange(rows, device=h_BTF.device)[:, None], from_BT]


def _gates(direction: Any, name: str) -> Tensor:
    """A weight or bias with its gates in ONNX's order: input, output, forget, cell; torch has input, forget, cell, output."""
    quarters = torch.arange(4 * direction.hidden_size).view(4, -1)
    return getattr(direction, name)[quarters[[0, 3, 1, 2]].flatten()]


def _build(options: Options, shape: Sequence[int], outputs: int) -> Lstm:
    sizes = (options["vocabulary"], options["embedding"], options["hidden"])
    return Lstm(*sizes, options["bidirectional"], outputs, options["dropout"])


def _complete(options: Options, train: Split) -> dict[str, Any]:
    plain = {name: value for name, value in options.items() if name != "layers"}
    return {**plain, "vocabulary": vocabulary_of(train.x), "hidden": [options["hidden"]] * options["layers"]}


def _widths(module: Any) -> dict[str, Any]:
    hidden = [layer.hidden for layer in module.layers]
    return {"embedding": module.embedding.embedding_dim, "hidden": hidden}


def _prune(module: Any, rows: Tensor, share: float) -> None:
    """Columns of the embedding, and units of each direction; what reads them follows."""
    readers = module.layers[0].directions
    scores = squares(module.embedding.weight, 1) + sum(squares(reader.weight_ih_l0, 1) for reader in readers)
    keep = strongest(scores, share, ROUND_TO)
    module.embedding = cut_embedding(module.embedding, keep)
    for layer in module.layers:
        kept = []
        for number, direction in enumerate(layer.directions):
            weights = squares(direction.weight_ih_l0, 0) + squares(direction.weight_hh_l0, 0)
            scores = weights.view(4, -1).sum(0) + squares(direction.weight_hh_l0, 1)
            units = strongest(scores, share, ROUND_TO)
            layer.directions[number] = _cut(direction, units, keep)
            kept.append(units + number * direction.hidden_size)
        layer.hidden, keep = len(kept[0]), torch.cat(kept)
    module.head = cut_linear(module.head, inputs=keep)


def _cut(direction: nn.LSTM, units: Tensor, inputs: Tensor) -> nn.LSTM:
    """The direction with only these units and inputs."""
    gates = torch.arange(4 * direction.hidden_size).view(4, -1)[:, units].flatten()
    narrow = nn.LSTM(len(inputs), len(units))
    for name, weight in direction.state_dict().items():
        columns = {"weight_ih_l0": inputs, "weight_hh_l0": units}.get(name)
        narrow.state_dict()[name].copy_(weight[gates] if columns is None else weight[gates][:, columns])
    return narrow


FAMILY = Family(takes="int32 token ids", fits=is_tokens, build=_build, widths=_widths, complete=_complete, prune=_prune)
