"""The sections of a configuration, one for each stage: what a stage can be told, with its bounds.

A section is frozen, refuses unknown fields, and describes each field with its unit. Fields marked `NOT_IN_KEY` change how a
result is reached or shown, never the result, and so are no part of a step's key.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

NOT_IN_KEY: dict[str, Any] = {"in_key": False}
Share = Annotated[float, Field(ge=0.0, le=1.0)]


class Section(BaseModel):
    """Base of all sections: frozen, no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def key_fields(self) -> dict[str, Any]:
        """The fields that decide the result, as plain JSON values."""
        return {name: _plain(value) for name, value in self if _in_key(type(self), name)}


def _in_key(section: type[Section], name: str) -> bool:
    extra = section.model_fields[name].json_schema_extra
    return not (isinstance(extra, dict) and extra.get("in_key") is False)


def _plain(value: Any) -> Any:
    if isinstance(value, Section):
        return value.key_fields()
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value


class Source(Section):
    """One place that rows come from."""

    url: str = Field(
        description="Path, glob or fsspec URL (relative ones start at data.root); for sklearn: digits, breast_cancer, …",
        json_schema_extra=NOT_IN_KEY,
    )
    members: str = Field(
        default="", description="Glob over the members, when the URL is a tar or zip archive; empty: all of them"
    )
    split: Literal["any", "train", "validation", "test"] = Field(
        default="any", description="The split that these rows belong to; any: by content hash"
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


class ColumnRule(Section):
    """What is declared about one column; what is not declared is inferred from the first rows."""

    name: str = Field(description="The column's name")
    type: Literal["integer", "number", "category", "text", "image"] = Field(description="What its values are")
    nullable: bool = Field(default=True, description="Whether a value may be missing")
    minimum: float | None = Field(default=None, description="Least value allowed")
    maximum: float | None = Field(default=None, description="Greatest value allowed")
    categories: tuple[str, ...] | None = Field(default=None, description="The only values allowed, for a category")


class DataSection(Section):
    """Stage prepare: where rows come from, what they must look like, how they are split."""

    sources: tuple[Source, ...] = Field(min_length=1, description="Where the rows come from")
    root: str = Field(
        default="",
        description="Folder or URL that relative source URLs start at; empty: the current folder",
        json_schema_extra=NOT_IN_KEY,
    )
    format: Literal["auto", "csv", "tsv", "jsonl", "parquet", "text_folders", "idx", "sklearn"] = Field(
        default="auto", description="How the sources are written; auto: by their names"
    )
    csv: CsvOptions = Field(default_factory=CsvOptions, description="How to read CSV and TSV")
    kind: Literal["table", "text", "image"] = Field(description="What a row is: named columns, a text, or an image")
    task: Literal["classification", "regression"] = Field(default="classification", description="What is predicted")
    target: str = Field(default="label", description="The column that is predicted")
    features: tuple[str, ...] = Field(
        default=(),
        description="Columns to predict from; empty: all but the target (a text or image: the one such column)",
    )
    target_names: dict[str, str] = Field(default_factory=dict, description="Raw target value → name to use instead")
    columns: tuple[ColumnRule, ...] = Field(default=(), description="Declared columns; others are inferred")
    validation_share: Share = Field(
        default=0.15, description="Share of rows for validation, where the source does not declare it"
    )
    test_share: Share = Field(
        default=0.2, description="Share of rows for the test, where the source does not declare it"
    )
    split_seed: int = Field(default=0, ge=0, description="Another number gives another split")
    shard_rows: int = Field(default=20_000, ge=1, description="Rows in one shard, at most")
    max_quarantined_share: Share = Field(
        default=0.05, description="Stop when more than this share of the rows is refused"
    )


class TransformsSection(Section):
    """What is fitted on the training rows and applied everywhere."""

    vocabulary_size: int = Field(
        default=20_000, ge=16, le=1_000_000, description="Text: words kept, most frequent first"
    )
    min_word_count: int = Field(default=2, ge=1, description="Text: rarer words are unknown")
    max_tokens: int = Field(default=256, ge=1, le=8192, description="Text: tokens kept of each text, from its start")
    lowercase: bool = Field(default=True, description="Text: fold case")
    scaling: Literal["standard", "none"] = Field(
        default="standard", description="Table: zero mean and unit variance for numbers"
    )
    max_categories: int = Field(
        default=64, ge=1, description="Table: categories kept a column, most frequent first; the rest share one"
    )


class MlpOptions(Section):
    """Multilayer perceptron."""

    hidden: tuple[Annotated[int, Field(ge=1, le=65_536)], ...] = Field(
        default=(128, 64), description="Width of each hidden layer"
    )
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(default=0.1, description="Share of units dropped in training")


class CnnOptions(Section):
    """Convolutional network for images: blocks of 3×3 convolution, batch norm, ReLU, 2×2 pooling; then one hidden layer."""

    channels: tuple[Annotated[int, Field(ge=1, le=4096)], ...] = Field(
        default=(32, 64), min_length=1, description="Output channels of each block"
    )
    hidden: int = Field(default=128, ge=1, le=65_536, description="Width of the hidden layer")
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(default=0.25, description="Share of units dropped in training")


class TextCnnOptions(Section):
    """Kim's convolutional network for sentences (2014): embedding, parallel 1-D convolutions, max over time."""

    embedding: int = Field(default=64, ge=1, le=4096, description="Width of a token's embedding")
    widths: tuple[Annotated[int, Field(ge=1, le=16)], ...] = Field(
        default=(2, 3, 4), min_length=1, description="Tokens that each convolution sees"
    )
    filters: int = Field(default=64, ge=1, le=4096, description="Filters of each width")
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(default=0.5, description="Share of units dropped in training")


class SklearnOptions(Section):
    """A scikit-learn estimator."""

    estimator: Literal["hist_gradient_boosting", "random_forest", "linear", "svm"] = Field(
        default="hist_gradient_boosting", description="Which one; each has a classifier and a regressor"
    )
    iterations: int = Field(default=200, ge=1, le=10_000, description="Trees, or iterations of a linear solver")
    learning_rate: float = Field(default=0.1, gt=0, le=1, description="Boosting: weight of each tree")
    max_leaves: int = Field(default=31, ge=2, le=4096, description="Trees: leaves of each")
    l2: float = Field(default=0.0, ge=0, description="L2 penalty (for linear and svm: 1/C, where 0 means C = 1)")


class TrainSection(Section):
    """Stage train."""

    family: Literal["mlp", "cnn", "textcnn", "sklearn"] = Field(description="Which model")
    mlp: MlpOptions = Field(default_factory=MlpOptions, description="For family mlp")
    cnn: CnnOptions = Field(default_factory=CnnOptions, description="For family cnn")
    textcnn: TextCnnOptions = Field(default_factory=TextCnnOptions, description="For family textcnn")
    sklearn: SklearnOptions = Field(default_factory=SklearnOptions, description="For family sklearn")
    epochs: int = Field(default=10, ge=1, le=10_000, description="Passes over the training rows")
    batch_size: int = Field(default=64, ge=1, le=65_536, description="Rows in one step")
    optimizer: Literal["adamw", "sgd"] = Field(default="adamw", description="AdamW, or SGD with momentum")
    learning_rate: float = Field(default=1e-3, ge=0, le=10, description="Peak learning rate")
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(default=0.9, description="For SGD")
    weight_decay: float = Field(
        default=0.01, ge=0, description="Decoupled for AdamW, L2 for SGD; not on biases and norms"
    )
    warmup_share: Share = Field(
        default=0.05, description="Share of all steps in which the learning rate rises linearly"
    )
    schedule: Literal["cosine", "constant"] = Field(
        default="cosine", description="What the learning rate does after warm-up"
    )
    early_stopping_epochs: int = Field(
        default=0, ge=0, description="Stop after so many epochs without a better validation loss; 0: never"
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto",
        description="auto: CUDA where there is one; the device found is part of the key",
        json_schema_extra=NOT_IN_KEY,
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        default="auto", description="auto: bf16 autocast on CUDA, fp32 on CPU"
    )
    threads: int = Field(
        default=1,
        ge=1,
        le=256,
        description="CPU threads of the training process; part of the key, as sums depend on it",
    )
    seed: int = Field(default=0, ge=0, description="Seed of initial weights, order and dropout")
    checkpoint_every_steps: int = Field(
        default=200,
        ge=1,
        description="Steps between checkpoints (and one at each epoch's end)",
        json_schema_extra=NOT_IN_KEY,
    )


class Prune(Section):
    """Structured pruning: the weakest channels or units leave, the network gets narrower (torch-pruning)."""

    kind: Literal["prune"] = "prune"
    share: Annotated[float, Field(gt=0, lt=1)] = Field(default=0.5, description="Share of channels or units removed")


class Distil(Section):
    """Training on the teacher's soft answers, to recover what pruning lost (Hinton 2015)."""

    kind: Literal["distil"] = "distil"
    epochs: int = Field(default=10, ge=1, description="Passes over the training rows")
    temperature: float = Field(default=2.0, gt=0, description="Softens both distributions")
    soft_share: Share = Field(default=0.7, description="Weight of the teacher's answers; the rest is the labels'")
    learning_rate: float = Field(default=1e-3, ge=0, description="Peak learning rate")
    hidden: tuple[int, ...] = Field(
        default=(), description="When the teacher is a tree ensemble: hidden widths of the mlp that learns from it"
    )


class Truncate(Section):
    """Keep only the first trees of an ensemble."""

    kind: Literal["truncate"] = "truncate"
    share: Annotated[float, Field(gt=0, lt=1)] = Field(default=0.5, description="Share of the trees that stay")


class Quantise(Section):
    """ONNX Runtime int8: dynamic (weights; activations at run time) or static (both, calibrated on training rows)."""

    kind: Literal["quantise"] = "quantise"
    mode: Literal["dynamic", "static"] = Field(
        default="static", description="Static for convolutions, dynamic for dense layers"
    )
    calibration_rows: int = Field(default=256, ge=1, description="Static: training rows that set the ranges")


Pass = Annotated[Prune | Distil | Truncate | Quantise, Field(discriminator="kind")]


class Recipe(Section):
    """A typed list of compression passes."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,40}$", description="The candidate's name")
    passes: tuple[Pass, ...] = Field(default=(), description="Applied in order")


class CompressSection(Section):
    """Stage compress."""

    recipes: tuple[Recipe, ...] = Field(default=(), description="The candidates; empty: the three that suit the family")
    parallel: int = Field(
        default=2, ge=1, le=64, description="Candidates made at the same time", json_schema_extra=NOT_IN_KEY
    )


class EvaluateSection(Section):
    """Stage evaluate: what decides, and by how much it may fall."""

    metric: Literal["accuracy", "macro_f1", "log_loss", "rmse"] = Field(
        default="accuracy", description="The metric that the gate looks at"
    )
    margin: float = Field(
        default=0.01,
        gt=0,
        description="Non-inferiority margin: the fall of the metric that is still acceptable, in its own unit (rmse: relative)",
    )
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = Field(
        default=0.95, description="One-sided confidence of the gate, two-sided of intervals"
    )
    resamples: int = Field(default=2000, ge=100, le=100_000, description="Bootstrap resamples")
    minimum: float | None = Field(
        default=None,
        description="The metric's value (for rmse and log_loss: the greatest) below which nothing is released",
    )
    max_slowdown: float = Field(
        default=1.0,
        gt=0,
        description="Veto a candidate whose latency surely exceeds so many times the fp32 model's at batch 1 and 32",
    )
    seed: int = Field(default=0, ge=0, description="Seed of the bootstrap")


class ReleaseSection(Section):
    """Stage release."""

    alias: str = Field(
        default="champion",
        pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$",
        description="The name that moves to the released version",
    )
    golden_rows: int = Field(default=8, ge=1, le=256, description="Test rows kept as golden requests")
    tolerance: float = Field(default=1e-4, gt=0, description="Greatest difference between outputs in parity checks")


class StorageSection(Section):
    """Where everything that lasts is kept."""

    url: str = Field(
        default="",
        description="Folder or s3://bucket/prefix; empty: store in the data root",
        json_schema_extra=NOT_IN_KEY,
    )


class ClusterSection(Section):
    """Where data are processed in parallel."""

    address: str = Field(
        default="local",
        description="local, cuda, kubernetes, or the address of a Dask scheduler",
        json_schema_extra=NOT_IN_KEY,
    )
    workers: int = Field(default=2, ge=1, le=10_000, description="Worker processes", json_schema_extra=NOT_IN_KEY)
    memory_gib: float = Field(
        default=4.0, gt=0, description="Memory limit of each local worker, in GiB", json_schema_extra=NOT_IN_KEY
    )
