"""Augmentation: the same for a row whatever its batch, other in each epoch, and each change is the one that its name says."""

import numpy as np
import pytest
import torch

from tasks.nn.augment import NUMBERS, augmented, draw
from tasks.sections import AugmentOptions

IMAGES = torch.arange(2 * 2 * 6 * 8, dtype=torch.float32).view(2, 2, 6, 8)
ALL = AugmentOptions(shift_pixels=2, flip=True, rotate_degrees=20, erase_pixels=3)


def changed(
    number: int | None = None, value: float = 0.5, images: torch.Tensor = IMAGES, **options: float
) -> torch.Tensor:
    """The images under `options`, all random numbers being a half, but `value` in place `number`."""
    drawn = torch.full((len(images), NUMBERS), 0.5)
    if number is not None:
        drawn[:, number] = value
    return augmented(images, AugmentOptions(**options), drawn)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    "options", [ALL, AugmentOptions(shift_frames=3, mask_frames=4, mask_bands=2)], ids=["image", "audio"]
)
def test_a_rows_change_depends_on_seed_epoch_and_row_alone(options: AugmentOptions) -> None:
    images, drawn = torch.randn(9, 1, 6, 8), torch.from_numpy(draw(9, seed=3, epoch=1))
    together = augmented(images, options, drawn)
    assert together.shape == images.shape
    torch.testing.assert_close(augmented(images[4:6], options, drawn[4:6]), together[4:6])
    assert (draw(9, 3, 1) == draw(9, 3, 1)).all()
    assert (draw(9, 3, 1)[:5] == draw(5, 3, 1)).all()
    for other in (draw(9, 3, 2), draw(9, 4, 1)):
        assert not torch.equal(augmented(images, options, torch.from_numpy(other)), together)


def test_nothing_is_changed_by_default() -> None:
    assert changed() is IMAGES
    assert not AugmentOptions().active


def test_a_shift_moves_by_whole_pixels_and_repeats_the_border() -> None:
    torch.testing.assert_close(changed(shift_pixels=2), IMAGES)  # a half is no shift
    down = changed(0, 0.99, shift_pixels=2)
    torch.testing.assert_close(down[:, :, 2:], IMAGES[:, :, :-2])
    torch.testing.assert_close(down[:, :, 0], IMAGES[:, :, 0])
    torch.testing.assert_close(changed(1, 0.0, shift_frames=3)[:, :, :, :-3], IMAGES[:, :, :, 3:])
    torch.testing.assert_close(changed(0, 0.0, shift_frames=3), IMAGES)  # a recording never moves between bands


def test_a_flip_mirrors_left_and_right() -> None:
    torch.testing.assert_close(changed(2, 0.4, flip=True), IMAGES.flip(3))
    torch.testing.assert_close(changed(2, 0.6, flip=True), IMAGES)


def test_a_turn_by_a_right_angle_is_one_and_by_none_is_none() -> None:
    square = torch.randn(2, 1, 7, 7)
    turned = changed(3, 1.0, images=square, rotate_degrees=90)
    torch.testing.assert_close(turned, square.rot90(1, (2, 3)), atol=1e-4, rtol=0)
    torch.testing.assert_close(changed(3, 0.5, images=IMAGES, rotate_degrees=90), IMAGES, atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("options", "blanked"),
    [
        ({"erase_pixels": 3}, 2 * 2),
        ({"mask_bands": 3}, 2 * 8),
        ({"mask_frames": 3}, 6 * 2),
        ({"erase_pixels": 99}, 6 * 8),
    ],
    ids=str,
)
def test_what_is_blanked_has_the_images_own_mean(options: dict[str, float], blanked: int) -> None:
    found = changed(**options)
    mean = IMAGES.mean((2, 3), keepdim=True).expand_as(IMAGES)
    hidden = found != IMAGES
    torch.testing.assert_close(found[hidden], mean[hidden])
    assert hidden.sum((2, 3)).tolist() == [[blanked] * 2] * 2


def test_blanked_places_and_moves_are_spread_over_all_that_is_allowed() -> None:
    drawn = torch.from_numpy(draw(2000, 0, 0))
    images = torch.zeros(2000, 1, 1, 9)
    images[:, :, :, 4] = 1
    found = augmented(images, AugmentOptions(shift_frames=2), drawn)
    counts = np.bincount(found[:, 0, 0].argmax(1).numpy(), minlength=9)
    assert counts[[0, 1, 7, 8]].sum() == 0
    assert counts[2:7].min() > 300
