"""A transformer by our own family, for benchmarks of serving: texts of at most 64 words in, four classes out; ten million weights from a seed."""

import json
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers

from tasks.graphs.canonical import to_bytes
from tasks.graphs.quantise import quantise
from tasks.nn.descriptions import build_model, save_weights
from tasks.nn.export import export
from tasks.transforms.texts import PAD, UNKNOWN
from tasks.transforms.transforms import Transforms

NAME, TOKENS, WORDS = "judge", 64, 8190
CLASSES = ["business", "science", "sport", "world"]
LAYERS, WIDTH, HEADS, FEED_FORWARD = 10, 256, 4, 1024


def artifact(mode: str) -> tuple[dict[str, bytes], bytes]:
    """The files of an artifact with the quantised graph; and the weights in float32."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    description = described()
    module = build_model(description).eval()
    fitted = {"version": 1, "kind": "text", "task": "classification", "input": {"name": "text", "max_tokens": TOKENS}}
    fitted |= {"target": {"name": "topic", "classes": CLASSES}, "example": texts(1)[0]}
    files = {
        "model.json": json.dumps(description).encode(),
        "recipe.json": b'{"name": "int8", "passes": []}',
        "transforms/transforms.json": json.dumps(fitted).encode(),
        "transforms/tokenizer.json": tokenizer(),
    }
    rows = features(files, texts(128, seed=1))
    files["model.onnx"] = to_bytes(quantise(export(module, description), mode, rows))
    return files, save_weights(module)


def described() -> dict[str, Any]:
    """The model.json of ten million weights."""
    each = {"heads": [HEADS] * LAYERS, "feed_forward": [FEED_FORWARD] * LAYERS, "head_width": WIDTH // HEADS}
    options = {"width": WIDTH, "positions": "learned", "dropout": 0.1, "vocabulary": WORDS + 2, **each}
    answer = {"task": "classification", "classes": CLASSES, "outputs": len(CLASSES)}
    return {"family": "transformer", "options": options, "input": {"shape": [TOKENS], "dtype": "int32"}, **answer}


def tokenizer() -> bytes:
    """Words w0, w1, … by their numbers."""
    vocabulary = {PAD: 0, UNKNOWN: 1} | {f"w{number}": number + 2 for number in range(WORDS)}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))  # pyright: ignore[reportCallIssue]
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()  # pyright: ignore[reportAttributeAccessIssue]
    return made.to_str().encode()


def texts(count: int, seed: int = 0) -> list[str]:
    """Texts of 8 to 64 words, of which a few are frequent, as in a language."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(8, TOKENS + 1, count)
    return [" ".join(f"w{min(int(word), WORDS) - 1}" for word in rng.zipf(1.2, length)) for length in lengths]


def features(files: dict[str, bytes], sentences: list[str]) -> np.ndarray:
    """(N, T) int32 token ids."""
    below = "transforms/"
    fitted = {name.removeprefix(below): content for name, content in files.items() if name.startswith(below)}
    transforms = Transforms.load(fitted)
    return transforms.features(transforms.parse(sentences))
