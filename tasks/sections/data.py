"""Stage prepare: where rows come from, and what is fitted on them."""

import codecs
import re
from typing import Literal

from pydantic import Field, field_validator

from tasks.sections.base import NOT_IN_KEY, OWN_CODE, Section, Share, Url
from tasks.sections.contract import ColumnRule, ContractSection
from tasks.sections.media import AudioOptions, ImageOptions, SpectrogramOptions
from tasks.sections.passes import DataPass

FUNCTION = r"^([A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*)?$"  # a user's own, as module:name


class Source(Section):
    """One place that rows come from."""

    url: Url = Field(
        description="Path, glob or fsspec URL (relative ones start at data.root); for sklearn: digits, breast_cancer, …",
        json_schema_extra=NOT_IN_KEY,
    )
    members: str = Field(
        default="", description="Glob over the members, when the URL is a tar or zip archive; empty: all of them"
    )
    split: Literal["any", "train", "validation", "test"] = Field(
        default="any", description="The split that these rows belong to; any: by content hash"
    )
    query: str = Field(
        default="",
        description="SQL: a table, or a SELECT, of the database that the URL names in SQLAlchemy's form (sqlite:///file.db, "
        "postgresql+psycopg://host/name); user and password come from MILLRACE_SQL_USER and MILLRACE_SQL_PASSWORD",
    )
    partition: str = Field(
        default="",
        pattern=r"^([A-Za-z_]\w*)?$",
        description="SQL: a column of whole numbers that grows with new rows, as an id; rows are read and kept by ranges of it. Empty: all "
        "at once",
    )
    partition_size: int = Field(default=20_000, ge=1, description="SQL: values of the partition's column in one range")
    version: str = Field(
        default="",
        description="SQL: a SELECT whose result changes when rows do, as SELECT count(*), max(updated_at) FROM orders; while it does not, "
        "nothing is read again. Empty: all rows are read each time, to know",
        json_schema_extra=NOT_IN_KEY,
    )


class CsvOptions(Section):
    """How to read CSV and TSV."""

    delimiter: str = Field(
        default=",", min_length=1, max_length=1, description="Field separator (TSV sets it to a tab)"
    )
    header: bool = Field(default=True, description="Whether the first line of each file names the columns")
    columns: tuple[str, ...] = Field(default=(), description="Column names, where there is no header")
    missing: tuple[str, ...] = Field(
        default=("", "NA", "N/A", "NaN", "nan", "null", "?"), description="Texts that mean: no value"
    )


class DataSection(Section):
    """Stage prepare: where rows come from, what they must look like, how they are split."""

    sources: tuple[Source, ...] = Field(min_length=1, description="Where the rows come from")
    root: Url = Field(
        default="",
        description="Folder or URL that relative source URLs start at; empty: the current folder",
        json_schema_extra=NOT_IN_KEY,
    )
    format: Literal[
        "auto",
        "csv",
        "tsv",
        "jsonl",
        "json",
        "parquet",
        "arrow",
        "warc",
        "lines",
        "text_folders",
        "image_folders",
        "audio_folders",
        "documents",
        "idx",
        "sklearn",
        "own",
    ] = Field(
        default="auto", description="How the sources are written; auto: by their names; own: as data.reader reads them"
    )
    reader: str = Field(
        default="",
        pattern=FUNCTION,
        description="Format own: your own function as module:name. It gets a file's decompressed bytes as a stream, and returns or yields "
        "pandas.DataFrames or pyarrow.Tables",
        json_schema_extra=OWN_CODE,
    )
    json_records: str = Field(
        default="",
        description="JSON: where in the document the list of rows lies, as response.items; empty: it is the document",
    )
    json_fields: dict[str, str] = Field(
        default_factory=dict,
        description="JSON and JSON lines: column → where in a row its value lies, as address.city or tags[0]; empty: the row's own keys",
    )
    encoding: str = Field(
        default="auto",
        description="How texts are encoded (CSV, TSV, JSON lines, text files): gb18030, utf-16, cp1252, …; auto: UTF-8, or as a "
        "byte order mark says",
    )
    csv: CsvOptions = Field(default_factory=CsvOptions, description="How to read CSV and TSV")
    image: ImageOptions = Field(default_factory=ImageOptions, description="How image files become pixels")
    audio: AudioOptions = Field(default_factory=AudioOptions, description="How recordings become samples")
    label_pattern: str = Field(
        default="",
        description="Files in folders: a regular expression whose one group is the label in the file's name; empty: the label is "
        "the folder's name",
    )
    kind: Literal["table", "text", "image", "audio"] = Field(
        description="What a row is: named columns, a text, an image, or a recording"
    )
    task: Literal["classification", "regression", "language_model"] = Field(
        default="classification", description="What is predicted: a class, a number, or a text's next token"
    )
    target: str = Field(default="label", description="The column that is predicted; a language model has none")
    features: tuple[str, ...] = Field(
        default=(),
        description="Columns to predict from; empty: all but the target (a text, image or recording: the one such column)",
    )
    target_names: dict[str, str] = Field(default_factory=dict, description="Raw target value → name to use instead")
    columns: tuple[ColumnRule, ...] = Field(default=(), description="Declared columns; others are inferred")
    contract: ContractSection = Field(
        default_factory=ContractSection,
        description="What rows must be like, and what is done with those that are not: inline, or the path of a YAML file as "
        "`millrace contract` writes it",
    )
    function: str = Field(
        default="",
        pattern=FUNCTION,
        description="Your own function as module:name, from the current folder or PYTHONPATH: it gets the raw rows of a shard as a "
        "pandas.DataFrame and returns them changed; rows that it leaves out go to quarantine. Empty: none",
        json_schema_extra=OWN_CODE,
    )
    passes: tuple[DataPass, ...] = Field(
        default=(), description="Cleaning: passes over the checked rows, in order; see each kind"
    )
    validation_share: Share = Field(
        default=0.15, description="Share of rows for validation, where the source does not declare it"
    )
    test_share: Share = Field(
        default=0.2, description="Share of rows for the test, where the source does not declare it"
    )
    passage_bytes: int = Field(
        default=4096, ge=64, le=1 << 20, description="Documents: bytes of a passage, which is a row, at most"
    )
    split_seed: int = Field(default=0, ge=0, description="Another number gives another split")
    shard_rows: int = Field(default=20_000, ge=1, description="Rows in one shard, at most")
    max_quarantined_share: Share = Field(
        default=0.05, description="Stop when more than this share of the rows, or of the files, is refused"
    )

    @property
    def rules(self) -> dict[str, ColumnRule]:
        """What is declared, by column: those of `columns`, and over them the contract's."""
        return {rule.name: rule for rule in (*self.columns, *self.contract.columns)}

    @field_validator("encoding")
    @classmethod
    def _known(cls, encoding: str) -> str:
        if encoding == "auto":
            return encoding
        try:
            "".encode(encoding)
            return codecs.lookup(encoding).name
        except LookupError:
            raise ValueError(
                f"found {encoding!r}, wanted auto or an encoding of texts that Python knows, as gb18030"
            ) from None

    @field_validator("label_pattern")
    @classmethod
    def _with_one_group(cls, pattern: str) -> str:
        try:
            groups = re.compile(pattern).groups
        except re.error as error:
            raise ValueError(f"{pattern!r} is no regular expression ({error})") from None
        if pattern and groups != 1:
            raise ValueError(f"{pattern!r} has {groups} groups, wanted one: the label, as in '^([a-z]+)_'")
        return pattern


class TransformsSection(Section):
    """What is fitted on the training rows and applied everywhere."""

    pin: str = Field(
        default="",
        pattern=r"^([0-9a-f]{64}|champion)?$",
        description="Transforms to apply instead of fitting new ones: the digest of some that were fitted before, or champion: those of "
        "the model that release.alias points at (fitted where there is none yet). With them a new shard changes no other's features",
        json_schema_extra=NOT_IN_KEY,  # what it means is an input of the step
    )
    vocabulary_size: int = Field(
        default=20_000,
        ge=16,
        le=1_000_000,
        description="Text: words kept, most frequent first; language model: byte-level tokens, at least 257",
    )
    tokenizer: Url = Field(
        default="",
        description="Language model: a byte-level BPE to take instead of fitting one: path or URL of a tokenizer.json, or of a tiktoken file; "
        "vocabulary_size then counts for nothing",
        json_schema_extra=NOT_IN_KEY,  # its content is an input of the step
    )
    tokenizer_pattern: str = Field(
        default="",
        description="A tiktoken file: where a text is cut before pairs are merged: gpt2, or a regular expression, which the file does not hold",
    )
    min_word_count: int = Field(default=2, ge=1, description="Text: rarer words are unknown")
    max_tokens: int = Field(
        default=256,
        ge=1,
        le=8192,
        description="Text: tokens kept of each text, from its start; language model: tokens of a window, its context",
    )
    packing: Literal["concatenate", "best_fit"] = Field(
        default="concatenate",
        description="Language model: training windows are cut from all documents one after the other; or best_fit: a document that fits is cut "
        "by no window, and windows are filled up",
    )
    lowercase: bool = Field(default=True, description="Text: fold case")
    scaling: Literal["standard", "none"] = Field(
        default="standard", description="Table: zero mean and unit variance for numbers"
    )
    max_categories: int = Field(
        default=64, ge=1, description="Table: categories kept a column, most frequent first; the rest share one"
    )
    spectrogram: SpectrogramOptions = Field(
        default_factory=SpectrogramOptions, description="Audio: what a model sees of a recording"
    )
