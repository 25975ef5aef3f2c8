"""Losses and penalties against values computed by hand; which setting fits which task."""

import math

import numpy as np
import pytest
import torch

from storage.errors import ConfigError
from tasks.nn.losses import penalty, task_loss, training_loss
from tasks.sections import TrainSection

LOGITS = torch.tensor([[0.0, math.log(3.0)], [math.log(4.0), 0.0]])  # the second class has 3/4 and 1/5
CLASSES, ROWS = torch.tensor([1, 1]), np.arange(2)


def loss_of(task: str = "classification", classes: int = 2, **settings: object):
    return training_loss(TrainSection(family="mlp", **settings), task, classes)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("name", ["auto", "cross_entropy", "bce"])
def test_the_loss_of_two_classes_is_the_labels_negative_log_probability(name: str) -> None:
    expected = -(math.log(3 / 4) + math.log(1 / 5)) / 2
    assert float(loss_of(loss=name)(LOGITS, CLASSES, ROWS)) == pytest.approx(expected)


@pytest.mark.parametrize("name", ["cross_entropy", "bce"])
def test_smoothing_spreads_a_share_of_the_label_over_all_classes(name: str) -> None:
    own, other = (math.log(3 / 4) + math.log(1 / 5)) / 2, (math.log(1 / 4) + math.log(4 / 5)) / 2
    found = float(loss_of(loss=name, label_smoothing=0.2)(LOGITS, CLASSES, ROWS))
    assert found == pytest.approx(-(0.9 * own + 0.1 * other))
    assert float(task_loss("classification")(LOGITS, CLASSES, ROWS)) == pytest.approx(
        -own
    )  # validation is not smoothed


def test_the_loss_of_values_is_their_mean_squared_error() -> None:
    outputs, targets = torch.tensor([[1.0], [2.0]]), torch.tensor([0.0, 4.0])
    for name in ("auto", "mse"):
        assert float(loss_of("regression", 1, loss=name)(outputs, targets, ROWS)) == 2.5


def test_penalties_count_weights_and_no_biases() -> None:
    model = torch.nn.Linear(2, 1).requires_grad_(False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[3.0, -4.0]]))
        model.bias.fill_(100.0)
    assert float(penalty(model, l1=0.5, l2=0.0)) == 3.5
    assert float(penalty(model, l1=0.0, l2=0.1)) == pytest.approx(2.5)
    assert float(penalty(model, l1=0.5, l2=0.1)) == pytest.approx(6.0)
    assert penalty(model, 0.0, 0.0) == 0.0


def test_binary_cross_entropy_of_three_classes_names_the_loss_that_fits() -> None:
    with pytest.raises(ConfigError, match="found 3 classes, wanted 2"):
        loss_of("classification", 3, loss="bce")
