"""Fitting transforms on the training rows, shard by shard; what is fitted is data (JSON), never code."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from storage.errors import SchemaError
from storage.manifests import Manifest
from storage.objects import ObjectStore
from storage.shards import ShardResult
from tasks.frames.assembling import read_statistics
from tasks.frames.profile import top_counts
from tasks.frames.sampling import read_rows
from tasks.frames.schema import Column
from tasks.frames.shelved import complete, here, make_work
from tasks.frames.statistics import Statistics
from tasks.frames.stored_rows import (
    StoredShard,
    arrays,
    columns_of,
    open_dataset,
    read_split,
    split_rows,
    stored_shards,
)
from tasks.frames.tokens import fit_tokens
from tasks.sections import TransformsSection
from tasks.transforms import Transforms
from tasks.transforms.spectrograms import Spectrogram
from tasks.transforms.texts import PAD, UNKNOWN
from tasks.transforms.transforms import VERSION
from tasks.transforms.waves import MAXIMUM

BATCH = 1000


def fit_transforms(
    section: TransformsSection, store: ObjectStore, dataset_digest: str, tokenizer: str = ""
) -> dict[str, bytes]:
    """`transforms.json`, and `tokenizer.json` for text, fitted on the data set's training rows only. `tokenizer`: the identity of the one that
    `section` names.

    SchemaError when a classification has fewer than two classes among them.
    """
    manifest = open_dataset(store, dataset_digest)
    if manifest.meta["task"] == "language_model":
        return fit_tokens(section, store, manifest, tokenizer)
    columns = columns_of(manifest)
    kind = manifest.meta["kind"]
    statistics = read_statistics(store, manifest)
    files: dict[str, bytes] = {}
    if kind == "text":
        vocabulary = _fit_tokenizer(section, _texts(store, manifest, columns[0].name))
        files["tokenizer.json"] = vocabulary.to_str().encode()
        fitted: dict[str, Any] = {"name": columns[0].name, "max_tokens": section.max_tokens}
    elif kind == "image":
        fitted = _fit_image(columns[0], statistics[columns[0].name])
    elif kind == "audio":
        fitted = _fit_audio(section, columns[0], store, manifest)
    else:
        missing = manifest.meta["missing"]
        fitted = {"columns": [_fit_column(section, c, statistics[c.name], missing) for c in columns[:-1]]}
    target = _fit_target(manifest, columns[-1].name, statistics[columns[-1].name])
    data = {
        "version": VERSION,
        "kind": kind,
        "task": manifest.meta["task"],
        "input": fitted,
        "cleaning": manifest.meta["cleaning"],
        "target": target,
        "example": None,
    }
    files["transforms.json"] = _dump(data)
    data["example"] = _example(files, read_rows(store, dataset_digest, "train", 1))
    return {**files, "transforms.json": _dump(data)}


def _example(files: dict[str, bytes], first: dict[str, list[Any]]) -> Any:
    """The first training row as a client would send it."""
    *features, _ = first
    return Transforms.load(files).items({name: first[name] for name in features})[0]


def _dump(data: dict[str, Any]) -> bytes:
    return json.dumps(data, ensure_ascii=False, sort_keys=True, allow_nan=False, indent=1).encode()


def _texts(store: ObjectStore, manifest: Manifest, name: str) -> Iterator[list[str]]:
    for table in split_rows(store, manifest, "train", [name]):
        for batch in table.to_batches(max_chunksize=BATCH):
            yield batch.column(0).to_pylist()


def _fit_tokenizer(section: TransformsSection, texts: Iterator[list[str]]) -> Tokenizer:
    """Words and marks, Chinese characters one by one; the most frequent get ids from 2, ties in the order of the text."""
    counted = _empty_tokenizer(section, {})
    trainer = trainers.WordLevelTrainer(
        vocab_size=section.vocabulary_size,
        min_frequency=section.min_word_count,
        special_tokens=[PAD, UNKNOWN],
        show_progress=False,
    )
    counted.train_from_iterator(texts, trainer)
    # The trainer adds the special tokens as such, and a text could then spell them: take the words into a fresh tokenizer.
    return _empty_tokenizer(section, counted.get_vocab())


def _empty_tokenizer(section: TransformsSection, vocabulary: dict[str, int]) -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))  # pyright: ignore[reportCallIssue]
    words = normalizers.BertNormalizer(
        clean_text=True, handle_chinese_chars=True, strip_accents=False, lowercase=section.lowercase
    )
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), words])  # pyright: ignore[reportAttributeAccessIssue]
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()  # pyright: ignore[reportAttributeAccessIssue]
    return tokenizer


def _fit_image(column: Column, found: Statistics) -> dict[str, Any]:
    maximum = float(column.maximum or 1.0)
    mean, std = _mean_and_std(*np.asarray(found.channels, dtype=np.float64) / np.array([[1], [maximum], [maximum**2]]))
    return {
        "name": column.name,
        "shape": list(column.shape or ()),
        "maximum": maximum,
        "mean": mean,
        "std": std,
        "resize": column.resize or "letterbox",
    }


def _fit_audio(section: TransformsSection, column: Column, store: ObjectStore, manifest: Manifest) -> dict[str, Any]:
    """The spectrogram's form, and mean and deviation of each of its bands over all frames of the training rows."""
    rate, samples = column.rate or 1, (column.shape or (1,))[0]
    options = section.spectrogram
    window, hop = (max(1, round(ms * rate / 1000)) for ms in (options.window_ms, options.hop_ms))
    spectrogram = Spectrogram(rate, samples, options.mels, window, hop)
    shared, compute = [asdict(spectrogram), column.name], partial(add_bands, spectrogram, column.name)
    work = make_work("bands", compute, ["tasks.frames.fitting:add_bands"], shared, store.url)
    parts = complete(work, stored_shards(manifest), here, lambda event: None)
    count, total_M, squares_M = np.zeros((3, options.mels))
    for part in parts:
        count, total_M, squares_M = (
            count + part.facts["frames"],
            total_M + np.array(part.facts["totals"]),
            squares_M + np.array(part.facts["squares"]),
        )
    mean, std = _mean_and_std(count, total_M, squares_M)
    return {"name": column.name, "spectrogram": asdict(spectrogram), "mean": mean, "std": std}


def add_bands(spectrogram: Spectrogram, column: str, store: ObjectStore, shard: StoredShard) -> ShardResult:
    """Frames of a shard's training rows, and sum and sum of squares of each band over them."""
    frames, total_M, squares_M = 0, *np.zeros((2, spectrogram.mels))
    for row in arrays(read_split(store, shard, "train", [column]).column(column)):
        levels_MF = spectrogram.compute(row / MAXIMUM)
        frames += spectrogram.frames
        total_M, squares_M = total_M + levels_MF.sum(axis=1), squares_M + (levels_MF**2).sum(axis=1)
    return ShardResult(facts={"frames": frames, "totals": total_M.tolist(), "squares": squares_M.tolist()})


def _mean_and_std(count: np.ndarray, total: np.ndarray, squares: np.ndarray) -> tuple[list[float], list[float]]:
    """Of each channel or band; a deviation of 1 for values that do not vary."""
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - mean**2, 0.0))
    return mean.tolist(), np.where(std > 1e-6, std, 1.0).tolist()


def _fit_column(section: TransformsSection, column: Column, found: Statistics, missing: list[str]) -> dict[str, Any]:
    base = {"name": column.name, "type": column.type, "nullable": column.nullable}
    if column.type == "category":
        return {**base, "values": list(top_counts(found.counts, section.max_categories)), "missing": missing}
    scaled = section.scaling == "standard"
    return {
        **base,
        "minimum": column.minimum,
        "maximum": column.maximum,
        "median": float(found.ranks.quantiles([0.5])[0]) if len(found.ranks.values) else 0.0,
        "mean": found.moments.mean if scaled else 0.0,
        "std": found.moments.std if scaled else 1.0,
    }


def _fit_target(manifest: Manifest, name: str, found: Statistics) -> dict[str, Any]:
    if manifest.meta["task"] == "regression":
        return {"name": name, "mean": found.moments.mean, "std": found.moments.std}
    classes = sorted(found.counts)
    if len(classes) < 2:
        raise SchemaError(
            f"target {name!r}: found only the class {classes} in {found.rows} training rows, wanted two or more; give other rows"
        )
    return {"name": name, "classes": classes}
