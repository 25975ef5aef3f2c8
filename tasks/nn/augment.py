"""Augmentation: training rows changed at random, anew in each epoch, so that the model learns what does not matter.

What happens to a row depends on the seed, the epoch and the row only, never on its batch: a resumed training sees the same.
Spectrograms are masked as in SpecAugment (Park 2019), images blanked as in Cutout (DeVries 2017).

Legend beyond the package's: B batch, C channels, H height or bands, W width or frames; random numbers are from 0 to 1.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from tasks.sections import AugmentOptions

NUMBERS = 7  # random numbers for each row; changes that can come together each read their own
STREAM = 1  # tells this generator from that of the epoch's order


def draw(rows: int, seed: int, epoch: int) -> np.ndarray:
    """(N, 7) float32: the random numbers of each row in this epoch."""
    return np.random.Generator(np.random.PCG64([seed, epoch, STREAM])).random((rows, NUMBERS), np.float32)


def augmented(x_BCHW: Tensor, options: AugmentOptions, drawn_B7: Tensor) -> Tensor:
    """The images or spectrograms (B, C, H, W), changed; what moves in from outside repeats the border."""
    down, across, flip, turn, size, top, left = drawn_B7.unbind(1)
    if options.rotate_degrees:
        x_BCHW = _rotated(x_BCHW, (2 * turn - 1) * options.rotate_degrees)
    if options.shift_pixels or options.shift_frames or options.flip:
        rows_B = _whole(down, -options.shift_pixels, options.shift_pixels)
        most = options.shift_pixels or options.shift_frames
        x_BCHW = _moved(x_BCHW, rows_B, _whole(across, -most, most), (flip < 0.5) & options.flip)
    if options.erase_pixels:
        side_B = _whole(size, 0, options.erase_pixels)
        x_BCHW = _blanked(
            x_BCHW, _span(top, side_B, x_BCHW.shape[2])[:, :, None] & _span(left, side_B, x_BCHW.shape[3])[:, None]
        )
    if options.mask_bands:
        wide_B = _whole(size, 0, options.mask_bands)
        x_BCHW = _blanked(x_BCHW, _span(top, wide_B, x_BCHW.shape[2])[:, :, None])
    if options.mask_frames:
        long_B = _whole(turn, 0, options.mask_frames)
        x_BCHW = _blanked(x_BCHW, _span(left, long_B, x_BCHW.shape[3])[:, None])
    return x_BCHW


def _whole(random_B: Tensor, least: int, most: int) -> Tensor:
    """Whole numbers from `least` to `most`, each as likely."""
    return (random_B * (most - least + 1)).long().clamp(max=most - least) + least


def _moved(x_BCHW: Tensor, down_B: Tensor, right_B: Tensor, mirrored_B: Tensor) -> Tensor:
    height, width = x_BCHW.shape[2:]
    rows_BH = (torch.arange(height, device=x_BCHW.device) - down_B[:, None]).clamp(0, height - 1)
    columns_BW = (torch.arange(width, device=x_BCHW.device) - right_B[:, None]).clamp(0, width - 1)
    columns_BW = torch.where(mirrored_B[:, None], width - 1 - columns_BW, columns_BW)
    batch = torch.arange(len(x_BCHW), device=x_BCHW.device)[:, None, None]
    return x_BCHW.movedim(1, 3)[batch, rows_BH[:, :, None], columns_BW[:, None]].movedim(3, 1)


def _rotated(x_BCHW: Tensor, degrees_B: Tensor) -> Tensor:
    height, width = x_BCHW.shape[2:]
    angle_B = torch.deg2rad(degrees_B)
    cos_B, sin_B, none_B = angle_B.cos(), angle_B.sin(), torch.zeros_like(angle_B)
    # Places are from -1 to 1 along either side, whatever its length: a turn in pixels, not in these units
    across, along = (
        torch.stack((cos_B, -sin_B * height / width, none_B), 1),
        torch.stack((sin_B * width / height, cos_B, none_B), 1),
    )
    places_BHW2 = affine_grid(torch.stack((across, along), 1), list(x_BCHW.shape), align_corners=False)
    return grid_sample(x_BCHW, places_BHW2, padding_mode="border", align_corners=False)


def _span(random_B: Tensor, length_B: Tensor, size: int) -> Tensor:
    """(B, size) true along a stretch of `length_B` at a random place."""
    length_B = length_B.clamp(max=size)
    start_B = (random_B * (size - length_B + 1)).long().minimum(size - length_B)
    at = torch.arange(size, device=random_B.device)
    return (at >= start_B[:, None]) & (at < (start_B + length_B)[:, None])


def _blanked(x_BCHW: Tensor, where_BHW: Tensor) -> Tensor:
    """Each image with its own mean where `where_BHW` (which may leave out a dimension as 1) is true."""
    return torch.where(where_BHW[:, None], x_BCHW.mean((2, 3), keepdim=True), x_BCHW)
