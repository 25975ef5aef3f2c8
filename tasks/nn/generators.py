"""Every random generator of a process: seeded together, and their states as tensors and back."""

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor


def seed_generators(seed: int) -> None:
    """Seed torch's, NumPy's and Python's global generators."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


def generator_tensors() -> dict[str, Tensor]:
    """The states of torch's random generators, the CPU's and each CUDA device's, of NumPy's and of Python's."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    numpy: Any = np.random.get_state(legacy=False)
    _, python, gauss = random.getstate()
    return {
        "cpu": torch.get_rng_state(),
        "numpy": torch.tensor([*map(int, numpy["state"]["key"]), numpy["state"]["pos"], numpy["has_gauss"]]),
        "numpy_gauss": torch.tensor(numpy["gauss"], dtype=torch.float64),
        "python": torch.tensor([*python, gauss is not None]),
        "python_gauss": torch.tensor(gauss or 0.0, dtype=torch.float64),
        **{f"cuda{i}": state for i, state in enumerate(cuda)},
    }


def load_generators(tensors: Mapping[str, Tensor]) -> None:
    """Put states from `generator_tensors` back."""
    torch.set_rng_state(tensors["cpu"])
    *key, position, has_gauss = tensors["numpy"].tolist()
    np.random.set_state(("MT19937", np.array(key, np.uint32), position, has_gauss, tensors["numpy_gauss"].item()))
    *python, is_left = tensors["python"].tolist()
    random.setstate((3, tuple(python), tensors["python_gauss"].item() if is_left else None))
    for name, state in tensors.items():
        if name.startswith("cuda"):
            torch.cuda.set_rng_state(state, int(name[4:]))
