"""Fitting transforms on the training rows, shard by shard; what is fitted is data (JSON), never code."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from storage.errors import SchemaError
from storage.manifests import Manifest
from storage.objects import ObjectStore
from tasks.frames.profile import top_counts
from tasks.frames.schema import Column
from tasks.frames.statistics import Summary, summarise
from tasks.frames.stored_rows import arrays, columns_of, open_dataset, split_rows
from tasks.frames.tokens import fit_tokens
from tasks.sections import TransformsSection
from tasks.transforms import Transforms
from tasks.transforms.spectrograms import Spectrogram
from tasks.transforms.texts import PAD, UNKNOWN
from tasks.transforms.transforms import VERSION
from tasks.transforms.waves import MAXIMUM

BATCH = 1000


def fit_transforms(section: TransformsSection, store: ObjectStore, dataset_digest: str) -> dict[str, bytes]:
    """`transforms.json`, and `tokenizer.json` for text, fitted on the data set's training rows only.

    SchemaError when a classification has fewer than two classes among them.
    """
    manifest = open_dataset(store, dataset_digest)
    if manifest.meta["task"] == "language_model":
        return fit_tokens(section, store, manifest)
    columns = columns_of(manifest)
    kind = manifest.meta["kind"]
    summaries = summarise(store, manifest, columns)
    files: dict[str, bytes] = {}
    if kind == "text":
        vocabulary = _fit_tokenizer(section, _texts(store, manifest, columns[0].name))
        files["tokenizer.json"] = vocabulary.to_str().encode()
        fitted: dict[str, Any] = {"name": columns[0].name, "max_tokens": section.max_tokens}
    elif kind == "image":
        fitted = _fit_image(summaries[columns[0].name])
    elif kind == "audio":
        fitted = _fit_audio(section, columns[0], store, manifest)
    else:
        missing = manifest.meta["missing"]
        fitted = {"columns": [_fit_column(section, summaries[column.name], missing) for column in columns[:-1]]}
    target = _fit_target(manifest, summaries[columns[-1].name])
    data = {
        "version": VERSION,
        "kind": kind,
        "task": manifest.meta["task"],
        "input": fitted,
        "target": target,
        "example": None,
    }
    files["transforms.json"] = _dump(data)
    data["example"] = _example(files, columns, summaries)
    return {**files, "transforms.json": _dump(data)}


def _example(files: dict[str, bytes], columns: tuple[Column, ...], summaries: dict[str, Summary]) -> Any:
    """The first training row as a client would send it."""
    first = {column.name: [summaries[column.name].first] for column in columns[:-1]}
    return Transforms.load(files).items(first)[0]


def _dump(data: dict[str, Any]) -> bytes:
    return json.dumps(data, ensure_ascii=False, sort_keys=True, allow_nan=False, indent=1).encode()


def _texts(store: ObjectStore, manifest: Manifest, name: str) -> Iterator[list[str]]:
    for table, _ in split_rows(store, manifest, "train", [name]):
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


def _fit_image(summary: Summary) -> dict[str, Any]:
    column = summary.column
    maximum = float(column.maximum or 1.0)
    mean, std = _mean_and_std(
        *np.asarray(summary.channels, dtype=np.float64) / np.array([[1], [maximum], [maximum**2]])
    )
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
    count, total_M, squares_M = np.zeros((3, options.mels))
    for table, _ in split_rows(store, manifest, "train", [column.name]):
        for row in arrays(table.column(column.name)):
            levels_MF = spectrogram.compute(row / MAXIMUM)
            count, total_M, squares_M = (
                count + spectrogram.frames,
                total_M + levels_MF.sum(axis=1),
                squares_M + (levels_MF**2).sum(axis=1),
            )
    mean, std = _mean_and_std(count, total_M, squares_M)
    return {"name": column.name, "spectrogram": asdict(spectrogram), "mean": mean, "std": std}


def _mean_and_std(count: np.ndarray, total: np.ndarray, squares: np.ndarray) -> tuple[list[float], list[float]]:
    """Of each channel or band; a deviation of 1 for values that do not vary."""
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - mean**2, 0.0))
    return mean.tolist(), np.where(std > 1e-6, std, 1.0).tolist()


def _fit_column(section: TransformsSection, summary: Summary, missing: list[str]) -> dict[str, Any]:
    column = summary.column
    base = {"name": column.name, "type": column.type, "nullable": column.nullable}
    if column.type == "category":
        return {**base, "values": list(top_counts(summary, section.max_categories)), "missing": missing}
    scaled = section.scaling == "standard"
    sample = summary.sample
    return {
        **base,
        "minimum": column.minimum,
        "maximum": column.maximum,
        "median": float(np.median(sample)) if len(sample) else 0.0,
        "mean": summary.moments.mean if scaled else 0.0,
        "std": summary.moments.std if scaled else 1.0,
    }


def _fit_target(manifest: Manifest, summary: Summary) -> dict[str, Any]:
    name = summary.column.name
    if manifest.meta["task"] == "regression":
        return {"name": name, "mean": summary.moments.mean, "std": summary.moments.std}
    classes = sorted(summary.counts)
    if len(classes) < 2:
        raise SchemaError(
            f"target {name!r}: found only the class {classes} in {summary.rows} training rows, wanted two or more; give other rows"
        )
    return {"name": name, "classes": classes}
