"""Language models made by hand: a tokenizer of bytes (or with merges), and a graph that always knows which token comes next."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from handmade import release, write_files
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from storage.objects import ObjectStore, open_store
from storage.registry import Registry, open_registry
from tasks.inference.predictor import Predictor
from tasks.transforms.tokens import TokenInput

CIRCLE = "def ün(x😀):\n"  # after each byte comes the next one, after the last the first
CONTEXT = 16


def tokenizer_json(texts: list[str], vocabulary: int = 256) -> bytes:
    """A byte-level tokenizer of `vocabulary` tokens (256: the bytes themselves) whose merges come from `texts`."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # pyright: ignore
    tokenizer.decoder = decoders.ByteLevel()  # pyright: ignore
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=vocabulary, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer.to_str().encode()


def tokens_of(tokenizer: bytes, context: int = CONTEXT) -> TokenInput:
    return TokenInput.load({"name": "text", "context": context}, {"tokenizer.json": tokenizer})


def circle(tokens: TokenInput, text: str = CIRCLE) -> dict[int, int]:
    """The byte after each byte of `text`, as ids; it must not have a byte twice. A text begins with its first byte."""
    ids = tokens.encode([text])[0].tolist()
    return {tokens.end: ids[0], **dict(zip(ids, [*ids[1:], ids[0]], strict=True))}


def bigram_model(vocabulary: int, follows: Mapping[int, int], certainty: float = 8.0) -> bytes:
    """ONNX: logits (batch, time, vocabulary) that are `certainty` for the token that follows, else 0."""
    table = np.zeros((vocabulary, vocabulary), np.float32)
    for first, second in follows.items():
        table[first, second] = certainty
    axes = ["batch", "time"]
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "x"], ["y"])],
        "model",
        [helper.make_tensor_value_info("x", TensorProto.INT32, axes)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [*axes, vocabulary])],
        [numpy_helper.from_array(table, "table")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def lm_files(follows: Mapping[int, int] | None = None, tokenizer: bytes = b"") -> dict[str, bytes]:
    """An artifact's files: it goes round and round `CIRCLE`, or as `follows` says."""
    tokenizer = tokenizer or tokenizer_json([CIRCLE])
    tokens = tokens_of(tokenizer)
    fitted = {
        "version": 1,
        "kind": "text",
        "task": "language_model",
        "input": {"name": "text", "context": CONTEXT},
        "target": {"name": "bits_per_byte"},
        "example": CIRCLE,
    }
    return {
        "model.onnx": bigram_model(tokens.vocabulary, circle(tokens) if follows is None else follows),
        "model.json": json.dumps({"family": "gpt", "task": "language_model", "classes": []}).encode(),
        "recipe.json": b'{"name": "whole", "passes": []}',
        "transforms/transforms.json": json.dumps(fitted).encode(),
        "transforms/tokenizer.json": tokenizer,
    }


def lm_predictor(folder: Path, **files: bytes) -> Predictor:
    return Predictor.load(write_files(lm_files() | files, folder))


def lm_store(folder: Path) -> tuple[ObjectStore, Registry]:
    """A store with one version of the model `writer`, which is the champion."""
    store = open_store(str(folder / "store"))
    registry = open_registry(store.url)
    predictor = lm_predictor(folder / "made")
    predictions, outputs = predictor.predict(predictor.parse([CIRCLE, "xyz"]))
    golden = {"items": [CIRCLE, "xyz"], "predictions": predictions, "outputs": outputs.tolist()}
    release(store, registry, "writer", lm_files(), **{"golden.json": json.dumps(golden).encode()})
    registry.promote("writer", 1)
    return store, registry
