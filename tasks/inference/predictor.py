"""A loaded artifact: items → columns → features → outputs → predictions."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from storage.errors import CorruptArtifact
from tasks.inference.formats import check_formats
from tasks.inference.graphs import Graph, open_graph
from tasks.transforms.items import ItemError
from tasks.transforms.transforms import Transforms

if TYPE_CHECKING:
    from tasks.inference.generation import Generation
    from tasks.inference.wishes import Wish
    from tasks.transforms.tokens import TokenInput

ONNX_TYPES = {"float32": "tensor(float)", "int32": "tensor(int32)"}
BELOW = "transforms/"
NO_ANSWER = "the model has no finite answer for it; its values are too far from what it has learned"
RAW = {"regression": "value", "language_model": "next tokens"}


@dataclass(frozen=True)
class Predictor:
    """`raw`: what the graph gives: logits, probabilities, a value (regression), or logits of the next tokens (language model)."""

    graph: Graph
    transforms: Transforms
    raw: str

    @classmethod
    def load(cls, files: Mapping[str, Path]) -> "Predictor":
        """From an artifact's or release's verified files; Untrusted or CorruptArtifact when they cannot be loaded."""
        check_formats(files)
        for name in ("model.onnx", "model.json", "transforms/transforms.json"):
            if name not in files:
                raise CorruptArtifact(
                    f"artifact: {name} is missing, found {', '.join(sorted(files))}; release it again"
                )
        fitted = {name.removeprefix(BELOW): path.read_bytes() for name, path in files.items() if name.startswith(BELOW)}
        transforms, graph = Transforms.load(fitted), open_graph(files["model.onnx"])
        _check_signature(graph, transforms)
        return cls(graph, transforms, _raw_outputs(json.loads(files["model.json"].read_bytes())))

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the outputs; empty for regression."""
        return self.transforms.classes

    @property
    def tokens(self) -> "TokenInput | None":
        """A language model's texts and tokens; None for other models."""
        return self.transforms.input if self.raw == "next tokens" else None  # pyright: ignore[reportReturnType]

    def parse(self, items: Sequence[object]) -> dict[str, list[Any]]:
        """A client's items as columns; ItemError names the first bad one."""
        return self.transforms.parse(items)

    def outputs(self, features: np.ndarray) -> np.ndarray:
        """(B, *input_shape) → (B, K) float32 probabilities, (B, 1) standardised values, or (B, 1) bits per byte."""
        if not len(features):
            return np.empty((0, len(self.classes) or 1), dtype=np.float32)
        if (tokens := self.tokens) is not None:
            from tasks.inference.language import text_bits  # tokenizers is loaded only where there is text

            return text_bits(self.graph, tokens, features)
        raw_BK = self.graph.run(np.asarray(features, dtype=self.transforms.input_dtype))
        return _softmax(raw_BK) if self.raw == "logits" else raw_BK

    def predict(self, columns: Mapping[str, Any]) -> tuple[list[Any], np.ndarray]:
        """Predictions and (B, K) outputs; ItemError for the first row that has no finite output."""
        outputs_BK, answered_B = self.answers(columns)
        if not answered_B.all():
            raise ItemError(int(np.flatnonzero(~answered_B)[0]), NO_ANSWER)
        return self.transforms.predictions(outputs_BK), outputs_BK

    def answers(self, columns: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        """(B, K) outputs, and (B,) bool: which rows' are finite; the others have no answer."""
        outputs_BK = self.outputs(self.transforms.features(columns))
        return outputs_BK, np.asarray(np.isfinite(outputs_BK).all(axis=1))

    def generate(self, wish: "Wish") -> "Generation":
        """The text that follows, for a language model: iterate over it."""
        from tasks.inference.generation import Generation  # only where texts are written

        return Generation(self, wish)


def _softmax(logits_BK: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", over="ignore"):  # infinite logits give NaN, which predict refuses
        odds_BK = np.exp(logits_BK - logits_BK.max(axis=1, keepdims=True))
    return odds_BK / odds_BK.sum(axis=1, keepdims=True)


def _raw_outputs(model: Mapping[str, Any]) -> str:
    if model["task"] in RAW:
        return RAW[model["task"]]
    if "output" in model:  # of an imported model, which has no family of ours
        return model["output"]
    return "probabilities" if model["family"] == "sklearn" else "logits"  # skl2onnx exports probabilities


def _check_signature(graph: Graph, transforms: Transforms) -> None:
    """CorruptArtifact unless the graph takes what the transforms make and gives what they decode."""
    inputs, outputs = graph.session.get_inputs(), graph.session.get_outputs()
    found = [(item.name, item.type) for item in inputs], [item.name for item in outputs]
    wanted = [("x", ONNX_TYPES[transforms.input_dtype])], ["y"]
    if found != wanted:
        raise CorruptArtifact(f"model.onnx: found inputs and outputs {found}, wanted {wanted}; export it again")
    answer = (len(transforms.classes) or 1,)
    if transforms.task == "language_model":
        answer = (*transforms.input_shape, transforms.input.vocabulary)  # pyright: ignore[reportAttributeAccessIssue]
    pairs = [(inputs[0].shape[1:], transforms.input_shape), (outputs[0].shape[1:], answer)]
    for shape, sizes in pairs:
        fixed = all(not isinstance(found, int) or found == size for found, size in zip(shape, sizes, strict=False))
        if len(shape) != len(sizes) or not fixed:
            raise CorruptArtifact(f"model.onnx: found the shape {shape} a row, wanted {list(sizes)}; export it again")
