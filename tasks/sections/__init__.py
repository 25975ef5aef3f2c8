"""The sections of a configuration, one for each stage: what a stage can be told, with its bounds.

A section is frozen, refuses unknown fields, and describes each field with its unit. Fields marked `NOT_IN_KEY` change how a
result is reached or shown, never the result, and so are no part of a step's key.
"""

from tasks.sections.augment import AugmentOptions
from tasks.sections.base import NOT_IN_KEY, Section, Share
from tasks.sections.batch import BatchSection
from tasks.sections.compress import CompressSection, Distil, Pass, Prune, Quantise, Recipe, Truncate
from tasks.sections.contract import ColumnRule, ContractSection, Handling, RowRule, ShareRule, UniqueRule
from tasks.sections.data import CsvOptions, DataSection, Source, TransformsSection
from tasks.sections.judge import EvaluateSection, ReleaseSection
from tasks.sections.media import AudioOptions, ImageOptions, SpectrogramOptions
from tasks.sections.passes import (
    ClipPass,
    DataPass,
    FunctionPass,
    HtmlPass,
    LanguagePass,
    LengthPass,
    LinesPass,
    LowercasePass,
    MissingPass,
    PiiPass,
    UnicodePass,
    WhitespacePass,
)
from tasks.sections.places import ClusterSection, StorageSection
from tasks.sections.quality import C4Pass, FinewebPass, GopherPass, GopherRepetitionPass, TextPass
from tasks.sections.train import (
    CnnOptions,
    GptOptions,
    LstmOptions,
    MlpOptions,
    ResnetOptions,
    SklearnOptions,
    TextCnnOptions,
    TrainSection,
    TransformerOptions,
)

__all__ = [
    "NOT_IN_KEY",
    "AudioOptions",
    "AugmentOptions",
    "BatchSection",
    "C4Pass",
    "ClipPass",
    "ClusterSection",
    "CnnOptions",
    "ColumnRule",
    "CompressSection",
    "ContractSection",
    "CsvOptions",
    "DataPass",
    "DataSection",
    "Distil",
    "EvaluateSection",
    "FinewebPass",
    "FunctionPass",
    "GopherPass",
    "GopherRepetitionPass",
    "GptOptions",
    "Handling",
    "HtmlPass",
    "ImageOptions",
    "LanguagePass",
    "LengthPass",
    "LinesPass",
    "LowercasePass",
    "LstmOptions",
    "MissingPass",
    "MlpOptions",
    "Pass",
    "PiiPass",
    "Prune",
    "Quantise",
    "Recipe",
    "ReleaseSection",
    "ResnetOptions",
    "RowRule",
    "Section",
    "Share",
    "ShareRule",
    "SklearnOptions",
    "Source",
    "SpectrogramOptions",
    "StorageSection",
    "TextCnnOptions",
    "TextPass",
    "TrainSection",
    "TransformerOptions",
    "TransformsSection",
    "Truncate",
    "UnicodePass",
    "UniqueRule",
    "WhitespacePass",
]
