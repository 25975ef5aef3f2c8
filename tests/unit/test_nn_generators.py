"""Random generators: what they would have drawn next, they draw again after their states were put back."""

import random

import numpy as np
import pytest
import torch

from tasks.nn.generators import generator_tensors, load_generators, seed_generators


def drawn() -> list[float]:
    """Some of every kind; odd counts of normal values leave one over in Python's and NumPy's generators."""
    ours = [random.random(), random.gauss(0, 1)]
    return [*ours, float(np.random.rand()), float(np.random.randn()), *torch.rand(3).tolist()]


@pytest.mark.parametrize("before", [0, 1, 2, 700])
def test_all_generators_go_on_where_they_were(before: int) -> None:
    seed_generators(5)
    for _ in range(before):
        drawn()
    state = generator_tensors()
    wanted = [drawn() for _ in range(3)]
    seed_generators(6)
    load_generators(state)
    assert [drawn() for _ in range(3)] == wanted


def test_a_seed_settles_all_of_them() -> None:
    seed_generators(5)
    wanted = drawn()
    seed_generators(5)
    assert drawn() == wanted
    seed_generators(6)
    assert all(one != other for one, other in zip(drawn(), wanted, strict=True))
