"""Stage train: the families, and how they learn."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

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


class TrainSection(Section):
    """Stage train."""

    family: Literal["mlp", "cnn", "textcnn", "gpt", "sklearn"] = Field(description="Which model")
    mlp: MlpOptions = Field(default_factory=MlpOptions, description="For family mlp")
    cnn: CnnOptions = Field(default_factory=CnnOptions, description="For family cnn")
    textcnn: TextCnnOptions = Field(default_factory=TextCnnOptions, description="For family textcnn")
    gpt: GptOptions = Field(default_factory=GptOptions, description="For family gpt")
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

    def key_fields(self) -> dict[str, Any]:
        """As ever, but of the families' options only those of the family that is trained."""
        others = {"mlp", "cnn", "textcnn", "gpt", "sklearn"} - {self.family}
        return {name: value for name, value in super().key_fields().items() if name not in others}
