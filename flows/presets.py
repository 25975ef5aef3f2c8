"""Presets: functions that return a whole `PipelineConfig`. They need no download."""

import difflib
import sysconfig
from collections.abc import Callable

from flows.settings import PipelineConfig
from storage.errors import ConfigError
from tasks.sections import (
    CompressSection,
    DataSection,
    EvaluateSection,
    GptOptions,
    MlpOptions,
    Source,
    TrainSection,
    TransformsSection,
)


def digits() -> PipelineConfig:
    """Handwritten digits, 8×8 pixels (scikit-learn's own 1,797 images), a small convolutional network.

    The margin is 2 points of accuracy, fixed beforehand: with 30 % of the rows (about 540) for the test, no discordant row at
    all still leaves 0.6 points of doubt at 95 % (3/n), and a handful of rows either way leaves about 1.5; a smaller margin
    could not be decided on so few rows, a larger one would let an error rate of about 1 % more than treble.
    Below 0.93 accuracy (a linear model's) nothing is released.
    """
    return PipelineConfig(
        name="digits",
        data=DataSection(
            sources=(Source(url="digits"),), format="sklearn", kind="image", validation_share=0.15, test_share=0.3
        ),
        train=TrainSection(family="cnn", epochs=15, batch_size=64, learning_rate=3e-3),
        evaluate=EvaluateSection(metric="accuracy", margin=0.02, minimum=0.93),
    )


def breast_cancer() -> PipelineConfig:
    """Breast tumours, 30 measurements each (scikit-learn's own 569 rows), a small multilayer perceptron.

    The margin is 4 points of accuracy, fixed beforehand: two fifths of the rows (about 230) are for the test, where three lost
    rows and none won leave about 3.4 points of doubt at 95 %; it suits a demonstration on few rows, not a clinic. Below 0.9 accuracy
    nothing is released. The strong dropout is for the mere 250 training rows.
    """
    return PipelineConfig(
        name="breast_cancer",
        data=DataSection(
            sources=(Source(url="breast_cancer"),),
            format="sklearn",
            kind="table",
            validation_share=0.15,
            test_share=0.4,
        ),
        train=TrainSection(
            family="mlp",
            mlp=MlpOptions(hidden=(128, 128), dropout=0.5),
            epochs=20,
            batch_size=32,
            learning_rate=1e-3,
            weight_decay=0.05,
        ),
        evaluate=EvaluateSection(metric="accuracy", margin=0.04, minimum=0.9),
    )


def stdlib_lm() -> PipelineConfig:
    """A small language model of Python code, learned from this Python's own standard library: it completes code.

    About 400 files, a document each; a tenth of them is for the test, some 270 passages of 4 KiB. The margin is 0.03 bits per byte, fixed
    beforehand: so many passages leave 0.011 of doubt whatever they show (3/n), and 0.03 is under two per cent of what a byte costs.
    Above 1.85 bits per byte nothing is released: gzip -9 needs 1.9 to 2.0 for such text, and a model that is hardly better has not learned.
    Two passes over the files suit two cores and some minutes, not the model: it would go on learning.
    """
    packages = (
        "asyncio", "collections", "concurrent/futures", "ctypes", "curses", "dbm", "email", "html", "http", "importlib", "json", "logging",
        "multiprocessing", "re", "sqlite3", "tomllib", "unittest", "urllib", "wsgiref", "xml/dom", "xml/etree", "xml/sax", "zoneinfo",
    )  # fmt: skip
    return PipelineConfig(
        name="stdlib_lm",
        data=DataSection(
            sources=tuple(Source(url=f"{folder}*.py") for folder in ("", *(f"{name}/" for name in packages))),
            root=sysconfig.get_path("stdlib"),
            format="documents",
            kind="text",
            task="language_model",
            validation_share=0.05,
            test_share=0.1,
        ),
        transforms=TransformsSection(vocabulary_size=2048, max_tokens=256),
        train=TrainSection(
            family="gpt",
            gpt=GptOptions(width=128, heads=4, layers=4),
            epochs=2,
            batch_size=8,
            learning_rate=3e-3,
            weight_decay=0.05,
            threads=2,
        ),
        compress=CompressSection(parallel=1),  # each candidate has both threads
        evaluate=EvaluateSection(metric="bits_per_byte", margin=0.03, minimum=1.85),
    )


PRESETS: dict[str, Callable[[], PipelineConfig]] = {
    "digits": digits,
    "breast_cancer": breast_cancer,
    "stdlib_lm": stdlib_lm,
}


def preset_config(name: str) -> PipelineConfig:
    """The preset's configuration. Raises ConfigError naming the nearest preset."""
    if name in PRESETS:
        return PRESETS[name]()
    close = difflib.get_close_matches(name, PRESETS, n=1, cutoff=0.4)
    hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(PRESETS)}."
    raise ConfigError(f"preset {name!r}: not found; {hint} Your own data: millrace run FILE --target COLUMN")
