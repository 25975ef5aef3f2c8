"""What is changed at random in training rows: images and spectrograms."""

from typing import Annotated

from pydantic import Field

from tasks.sections.base import Section


class AugmentOptions(Section):
    """Changes of training rows, anew in each epoch; none by default, and never in evaluation or distillation."""

    shift_pixels: int = Field(default=0, ge=0, le=1024, description="Images: moved by up to so many pixels each way")
    flip: bool = Field(default=False, description="Images: every other one, at random, mirrored left to right")
    rotate_degrees: Annotated[float, Field(ge=0, le=180)] = Field(
        default=0.0, description="Images: turned by up to so many degrees either way"
    )
    erase_pixels: int = Field(
        default=0, ge=0, le=1024, description="Images: side of the greatest square that is blanked, in pixels"
    )
    shift_frames: int = Field(default=0, ge=0, le=4096, description="Audio: moved by up to so many frames either way")
    mask_frames: int = Field(default=0, ge=0, le=4096, description="Audio: most neighbouring frames that are blanked")
    mask_bands: int = Field(default=0, ge=0, le=256, description="Audio: most neighbouring bands that are blanked")

    @property
    def active(self) -> bool:
        """Whether anything is changed."""
        return any(value for _, value in self)

    def wanted_by(self) -> dict[str, tuple[str, ...]]:
        """The fields that are set, by the kind of data that they are for."""
        on = [name for name, value in self if value]
        audio = tuple(name for name in on if name in AUDIO)
        return {"image": tuple(name for name in on if name not in AUDIO), "audio": audio}


AUDIO = ("shift_frames", "mask_frames", "mask_bands")
