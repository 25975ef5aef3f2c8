"""Images and recordings: how files become pixels and samples, and samples a spectrogram."""

from typing import Annotated, Literal

from pydantic import Field

from tasks.sections.base import Section


class ImageOptions(Section):
    """How image files become pixels of one shape. Images that come as arrays (IDX, scikit-learn) keep theirs."""

    size: tuple[Annotated[int, Field(ge=1, le=4096)], ...] = Field(
        default=(),
        max_length=2,
        description="Height and width in pixels (one number: a square); empty: the most common size of the sample, scaled down "
        "to at most 64 pixels a side",
    )
    channels: Literal[0, 1, 3] = Field(
        default=0, description="1: grey, 3: colour; 0: colour where an image of the sample has any"
    )
    resize: Literal["letterbox", "stretch"] = Field(
        default="letterbox",
        description="letterbox: the proportions are kept and the rest is black; stretch: they are not",
    )


class AudioOptions(Section):
    """How recordings become rows of samples of one rate and length, mono."""

    sample_rate: Annotated[int, Field(ge=0, le=192_000)] = Field(
        default=0,
        description="Samples a second that recordings are resampled to; 0: the most common rate of the sample",
    )
    seconds: Annotated[float, Field(ge=0, le=600)] = Field(
        default=0,
        description="Recordings are cut, or filled with silence, to this length; 0: so long that nineteen in twenty of the sample are not "
        "cut, ten at most",
    )


class SpectrogramOptions(Section):
    """The log-mel spectrogram of a recording: what a model of sound sees."""

    mels: int = Field(default=64, ge=8, le=256, description="Bands on the mel scale, up to half the sample rate")
    window_ms: float = Field(default=32.0, gt=0, le=1000, description="Length of a frame, in milliseconds")
    hop_ms: float = Field(default=12.0, gt=0, le=1000, description="From one frame to the next, in milliseconds")
