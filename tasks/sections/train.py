"""Stage train: the families, and how they learn."""

from typing import Annotated, Any, Literal, get_args

from pydantic import Field, model_validator

from tasks.sections.augment import AugmentOptions
from tasks.sections.base import NOT_IN_KEY, Section, Share


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


class LstmOptions(Section):
    """Long short-term memory for texts: embedding, one or two directions, the greatest output of each unit over the tokens."""

    embedding: int = Field(default=64, ge=1, le=4096, description="Width of a token's embedding")
    hidden: int = Field(default=64, ge=1, le=4096, description="Units of each layer and direction")
    layers: int = Field(default=1, ge=1, le=16, description="Layers, one above the other")
    bidirectional: bool = Field(default=True, description="Whether the text is read from both ends")
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.3, description="Share of each layer's inputs dropped in training"
    )


class TransformerOptions(Section):
    """Transformer encoder for texts: norm before each part, mean over the tokens."""

    width: int = Field(default=64, ge=1, le=8192, description="Width of a token's vector; a multiple of heads")
    layers: int = Field(default=2, ge=1, le=96, description="Blocks of attention and feed-forward network")
    heads: int = Field(default=4, ge=1, le=128, description="Attention heads of each block")
    feed_forward: int = Field(default=256, ge=1, le=65_536, description="Hidden units of each feed-forward network")
    positions: Literal["learned", "rotary"] = Field(
        default="learned", description="How a token's place is told: a learned vector each, or rotations (Su 2021)"
    )
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.1, description="Share of each part's outputs dropped in training"
    )

    @model_validator(mode="after")
    def _heads_fit(self) -> "TransformerOptions":
        unit = self.heads * (2 if self.positions == "rotary" else 1)
        if self.width % unit:
            raise ValueError(f"width is {self.width} for {self.heads} heads; wanted a multiple of {unit}")
        return self


class ResnetOptions(Section):
    """Residual network for small images: stages of 3×3 blocks, each stage at half the size of the one before."""

    channels: tuple[Annotated[int, Field(ge=1, le=4096)], ...] = Field(
        default=(16, 32, 64), min_length=1, description="Output channels of each stage"
    )
    blocks: int = Field(default=2, ge=1, le=64, description="Residual blocks of each stage, two convolutions each")
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.0, description="Share of the pooled channels dropped in training"
    )


class GptOptions(Section):
    """Causal transformer (Radford 2018) with rotary positions (Su 2021), ReLU² (So 2021) and one matrix for tokens in and out."""

    width: int = Field(default=128, ge=8, le=8192, description="Width of a token's vector; a multiple of 2 × heads")
    heads: int = Field(default=4, ge=1, le=128, description="Attention heads")
    layers: int = Field(default=4, ge=1, le=128, description="Blocks of attention and feed-forward")
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(default=0.0, description="Share of units dropped in training")

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> "GptOptions":
        if self.width % (2 * self.heads):
            raise ValueError(
                f"width {self.width} is no multiple of 2 × {self.heads} heads; wanted one, as 2 × heads × n"
            )
        return self


class SklearnOptions(Section):
    """A scikit-learn estimator."""

    estimator: Literal["hist_gradient_boosting", "random_forest", "linear", "svm"] = Field(
        default="hist_gradient_boosting", description="Which one; each has a classifier and a regressor"
    )
    iterations: int = Field(default=200, ge=1, le=10_000, description="Trees, or iterations of a linear solver")
    learning_rate: float = Field(default=0.1, gt=0, le=1, description="Boosting: weight of each tree")
    max_leaves: int = Field(default=31, ge=2, le=4096, description="Trees: leaves of each")
    l2: float = Field(default=0.0, ge=0, description="L2 penalty (for linear and svm: 1/C, where 0 means C = 1)")


FamilyName = Literal[
    "mlp", "cnn", "resnet", "textcnn", "lstm", "transformer", "gpt", "sklearn"
]  # each has a section of options by its name


class TrainSection(Section):
    """Stage train."""

    family: FamilyName = Field(description="Which model")
    mlp: MlpOptions = Field(default_factory=MlpOptions, description="For family mlp")
    cnn: CnnOptions = Field(default_factory=CnnOptions, description="For family cnn")
    resnet: ResnetOptions = Field(default_factory=ResnetOptions, description="For family resnet")
    textcnn: TextCnnOptions = Field(default_factory=TextCnnOptions, description="For family textcnn")
    lstm: LstmOptions = Field(default_factory=LstmOptions, description="For family lstm")
    transformer: TransformerOptions = Field(default_factory=TransformerOptions, description="For family transformer")
    gpt: GptOptions = Field(default_factory=GptOptions, description="For family gpt")
    sklearn: SklearnOptions = Field(default_factory=SklearnOptions, description="For family sklearn")
    epochs: int = Field(default=10, ge=1, le=10_000, description="Passes over the training rows")
    batch_size: int = Field(
        default=64, ge=1, le=65_536, description="Rows in one step (gd: rows whose gradients are computed at a time)"
    )
    optimizer: Literal["adamw", "adam", "sgd", "adagrad", "gd"] = Field(
        default="adamw",
        description="AdamW, Adam, SGD with momentum, Adagrad, or full-batch gradient descent: one step an epoch, over all rows",
    )
    loss: Literal["auto", "cross_entropy", "bce", "mse"] = Field(
        default="auto",
        description="What is minimised; auto: cross_entropy for classification, mse for regression; bce is for two classes",
    )
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.0, description="For classification: share of a label that is spread evenly over all classes"
    )
    learning_rate: float = Field(default=1e-3, ge=0, le=10, description="Peak learning rate")
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(default=0.9, description="For sgd")
    weight_decay: float = Field(
        default=0.01, ge=0, description="For adamw, decoupled (for the others: l2); not on biases and norms"
    )
    l1: float = Field(default=0.0, ge=0, description="Penalty: times the sum of the weights' sizes, added to the loss")
    l2: float = Field(
        default=0.0, ge=0, description="Penalty: times the sum of the weights' squares, added to the loss"
    )
    clip_norm: float = Field(default=0.0, ge=0, description="Greatest norm of all gradients together; 0: any")
    augment: AugmentOptions = Field(
        default_factory=AugmentOptions, description="Random changes of training rows: images and audio"
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
    on_other_conditions: Literal["refuse", "restart", "continue"] = Field(
        default="refuse",
        description="A checkpoint from another kind of processor or GPU, or another torch: refuse it, train anew, or go on and mark the model",
    )

    def key_fields(self) -> dict[str, Any]:
        """As ever, but of the families' options only those of the family that is trained; `on_other_conditions` where it may give
        another result: a model that was marked never stands for one that was not."""
        others = {*get_args(FamilyName)} - {self.family}
        if self.on_other_conditions != "continue":
            others.add("on_other_conditions")
        return {name: value for name, value in super().key_fields().items() if name not in others}
